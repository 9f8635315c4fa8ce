//! Cases that a policy must meet: a question, the verdict that is expected, and what should give it; and which
//! statements of the policy no case exercises.

use crate::explain::Said;
use crate::problems::Problems;
use crate::shape::{CASES, check};
use crate::yaml::{self, Node};
use crate::{Document, Errors, Explanation, Operator, Place, Places, Policy, Question, Statement, Verdict};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// A document of cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cases {
    /// The policy's documents as `policy:` names them; none when it is left out.
    pub policy: Vec<String>,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Where it stands.
    pub place: Place,
    /// The question.
    pub ask: String,
    /// The programs that act, as [`Question::parse`] takes them.
    pub from: Vec<String>,
    /// The verdict that is expected.
    pub expect: Verdict,
    /// The name of the statement that should give it.
    pub rule: Option<String>,
}

/// What came of all cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of the cases.
    pub outcomes: Vec<Outcome>,
    /// How many statements of the policy's own documents a case exercises.
    pub exercised: usize,
    /// Those that none does. What presets say is not counted.
    pub untouched: Vec<Said>,
}

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Where the case stands.
    pub place: Place,
    /// The question as it was written.
    pub ask: String,
    /// What is not as expected; `None` when all is.
    pub wrong: Option<String>,
    /// The answer; `None` when it is no question.
    pub answer: Option<Explanation>,
}

impl Cases {
    /// Reads a document of cases.
    ///
    /// # Errors
    /// Everything that is not understood, with its place.
    pub fn read(document: &Document) -> Result<Self, Errors> {
        let mut problems = Problems::default();
        let file = problems.source(&document.name, &document.text);
        let node = yaml::parse(file, &document.text, &mut problems);
        node.iter().for_each(|node| check(node, &CASES, &mut problems));
        match node {
            Some(node) if problems.is_empty() => {
                let cases = node.list("cases").iter().filter_map(|item| case(item, &problems)).collect();
                Ok(Self { policy: texts(&node, "policy"), cases })
            }
            _ => Err(Errors::new(problems.finish())),
        }
    }

    /// Asks every question.
    pub fn run(&self, policy: &Policy, places: &Places, operator: &Operator) -> Report {
        let mut touched = BTreeSet::new();
        let mut outcomes = Vec::new();
        for case in &self.cases {
            let asked = Question::parse(&case.ask, &case.from, operator);
            let answer = asked.as_ref().map(|question| policy.explain(places, question));
            if let Ok(answer) = &answer {
                answer.by.iter().for_each(|said| touch(&said.what, &mut touched));
            }
            let wrong = match &answer {
                Ok(answer) => case.wrong(answer),
                Err(error) => Some(error.to_string()),
            };
            outcomes.push(Outcome {
                place: case.place.clone(),
                ask: case.ask.clone(),
                wrong,
                answer: answer.ok(),
            });
        }
        let own = places.statements().filter(|(_, place)| !place.file.starts_with("preset:"));
        let (met, missed): (Vec<_>, Vec<_>) = own.partition(|(what, _)| touched.contains(*what));
        let untouched = missed.into_iter().map(|(what, place)| Said {
            statement: what.to_string(),
            place: Some(place.clone()),
            what: what.clone(),
        });
        let mut untouched: Vec<Said> = untouched.collect();
        untouched.sort_by(|a, b| a.place.cmp(&b.place));
        Report { outcomes, exercised: met.len(), untouched }
    }
}

/// A pattern of a rule that decides exercises the rule, too.
fn touch(what: &Statement, touched: &mut BTreeSet<Statement>) {
    if let Statement::Allows(rule, _) | Statement::Denies(rule, _) = what {
        touched.insert(Statement::Rule(rule.clone()));
    }
    touched.insert(what.clone());
}

impl Case {
    fn wrong(&self, answer: &Explanation) -> Option<String> {
        if answer.verdict != self.expect {
            return Some(format!("expected {}, is {}: {}", self.expect, answer.verdict, answer.why));
        }
        let wanted = self.rule.as_ref()?;
        if answer.by.iter().any(|said| said.what.name() == *wanted) {
            return None;
        }
        let found =
            answer.by.first().map_or("nothing that the policy says".to_owned(), |said| said.what.name());
        Some(format!("expected {} by {wanted}, is by {found}", self.expect))
    }
}

impl Report {
    /// Whether every case is as expected.
    pub fn is_met(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.wrong.is_none())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = self.outcomes.iter().filter(|outcome| outcome.wrong.is_some()).count();
        for Outcome { place, ask, wrong, answer } in &self.outcomes {
            let Some(wrong) = wrong else {
                writeln!(f, "ok    {}:{}  {ask}", place.file, place.line)?;
                continue;
            };
            writeln!(f, "FAIL  {}:{}  {ask}\n      {wrong}", place.file, place.line)?;
            for line in
                answer.iter().flat_map(|a| a.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
            {
                writeln!(f, "        {line}")?;
            }
        }
        let all = self.exercised + self.untouched.len();
        let cases = self.outcomes.len();
        writeln!(
            f,
            "{cases} cases, {wrong} not as expected; {} of {all} statements exercised",
            self.exercised
        )?;
        for said in &self.untouched {
            let place = said.place.as_ref().map(ToString::to_string).unwrap_or_default();
            writeln!(f, "not exercised: {} ({place})", said.statement)?;
        }
        Ok(())
    }
}

fn case(node: &Node, problems: &Problems) -> Option<Case> {
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let expect = match text("expect").as_deref() {
        Some("allowed") => Verdict::Allowed,
        _ => Verdict::Refused,
    };
    Some(Case {
        place: problems.located(node.span)?,
        ask: text("ask")?,
        from: texts(node, "from"),
        expect,
        rule: text("rule"),
    })
}

fn texts(node: &Node, key: &str) -> Vec<String> {
    node.list(key).iter().filter_map(Node::text).map(str::to_owned).collect()
}
