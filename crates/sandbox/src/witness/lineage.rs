//! What is remembered of processes from one `execve` to the next: whether code was brought into the program, and
//! which processes are older than the program and so none of its children.
//!
//! A fork tells nobody; only `execve` does. So what a process is that was forked and has not executed anything since
//! is inferred: it runs the program that some process executed. As long as no process executed that program with
//! foreign code in it, the fork has none either; from then on, its origin counts as unknown.
//!
//! Whether an announced `execve` succeeded is told by the executable alone, because everything else that `/proc`
//! shows can be set by the process itself. While the executable is the same, both what was and what was announced
//! hold.
//!
//! **What stays possible.** Between the notification and the new program's first instruction, another thread of the
//! process, or a process that it forked, can fork once more. Such a child is not in the list of those that are older.
//! It still does not count as a child of the new program, unless it runs the same executable as that.

use creel_kernel::proc::{Identity, Stat};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// How many processes are remembered; then those that ended are forgotten.
pub const MOST: usize = 4096;

/// Device and inode of an executable.
pub type FileId = (u64, u64);

/// A process, and what it runs.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// Who, and its parent.
    pub stat: Stat,
    /// Its executable, where it can be seen.
    pub executable: Option<FileId>,
}

/// Those that already descend from a process when it is about to become another program.
#[derive(Debug, Clone, Default)]
pub struct Elders {
    /// Their identities.
    pub known: HashSet<Identity>,
    /// Whether there may be more, because they could not all be listed.
    pub more: bool,
}

/// The files that an `execve` may make the process run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Becoming {
    /// One of these: a program, or a script and its interpreters.
    Files(Vec<FileId>),
    /// It could not be told.
    Anything,
}

/// An `execve` that is about to happen.
#[derive(Debug)]
pub struct Announced {
    /// Who calls, with the executable it has now.
    pub process: Member,
    /// Its parent.
    pub parent: Option<Member>,
    /// Whether the warden itself ordered it, through init.
    pub ordered: bool,
    /// The code that is brought in.
    pub code: Option<PathBuf>,
    /// What it may run then.
    pub becoming: Becoming,
    /// Who descends from it already.
    pub elders: Elders,
    /// Whether it has threads that may fork before the program begins.
    pub threads: bool,
    /// When, in clock ticks after boot.
    pub at: u64,
}

/// One program of a process.
#[derive(Debug, Clone, Default)]
struct Run {
    code: Option<PathBuf>,
    /// Whether the warden ordered it; then its environment is the operator's.
    ordered: bool,
    elders: Elders,
    /// Whether nobody but its own children can descend from it.
    alone: bool,
    since: u64,
}

impl Run {
    /// What surely holds if it is one of the two, of which `self` is the later.
    fn or(self, earlier: Self) -> Self {
        let mut elders = self.elders;
        elders.known.extend(earlier.elders.known);
        elders.more |= earlier.elders.more;
        Self {
            code: self.code.or(earlier.code),
            ordered: self.ordered && earlier.ordered,
            elders,
            alone: self.alone && earlier.alone,
            since: self.since.max(earlier.since),
        }
    }
}

struct Note {
    /// What the process ran when it last was looked at.
    run: Run,
    /// What it announced to run since, and the executable it had then.
    next: Option<(Run, Option<FileId>)>,
    /// The process that it was forked from, where that is certain.
    origin: Option<Identity>,
}

impl Note {
    /// Learns from the executable that it has now whether it runs what it announced.
    fn settle(&mut self, executable: Option<FileId>) {
        if executable.is_some()
            && let Some((next, _)) = self.next.take_if(|(_, before)| *before != executable)
        {
            self.run = next;
        }
    }

    /// What it runs, as far as it is certain.
    fn now(&mut self, executable: Option<FileId>) -> Cow<'_, Run> {
        self.settle(executable);
        match &self.next {
            Some((next, _)) => Cow::Owned(next.clone().or(self.run.clone())),
            None => Cow::Borrowed(&self.run),
        }
    }
}

/// What is remembered.
#[derive(Default)]
pub struct Lineage {
    notes: HashMap<Identity, Note>,
    /// Executables that ran with foreign code in them.
    tainted: HashSet<FileId>,
    /// Whether any executable may have.
    all_tainted: bool,
}

impl Lineage {
    /// Remembers an `execve`.
    pub fn announce(&mut self, announced: Announced, lives: impl Fn(Identity) -> bool) {
        let Announced { process, parent, ordered, code, becoming, elders, threads, at } = announced;
        let code = code.filter(|_| !ordered);
        if code.is_some() {
            self.taint(becoming);
        }
        let identity = process.stat.identity;
        let alone = elders.known.is_empty() && !elders.more && !threads;
        let next = Run { code, ordered, elders, alone, since: at };
        if !self.notes.contains_key(&identity) {
            self.make_room(lives);
            let fork = self.fork(process, parent, ordered);
            self.notes.insert(identity, fork);
        }
        let Some(note) = self.notes.get_mut(&identity) else { return };
        note.settle(process.executable);
        let next = match note.next.take() {
            // The earlier one failed, or another thread's is still on its way.
            Some((earlier, _)) => next.or(earlier),
            None => next,
        };
        note.next = Some((next, process.executable));
    }

    /// Remembers code that is found to be brought into what the process runs. One that never executed anything is
    /// judged by the process that it was forked from.
    pub fn found(&mut self, process: Member, code: &Path) {
        let Some(note) = self.notes.get_mut(&process.stat.identity) else { return };
        note.settle(process.executable);
        let runs = std::iter::once(&mut note.run).chain(note.next.as_mut().map(|(next, _)| next));
        let mut any = false;
        for run in runs.filter(|run| !run.ordered) {
            run.code.get_or_insert_with(|| code.to_owned());
            any = true;
        }
        if any {
            let file = process.executable.map(|file| vec![file]);
            self.taint(file.map_or(Becoming::Anything, Becoming::Files));
        }
    }

    /// The code that was brought into what the process runs.
    pub fn code(&mut self, process: Member) -> Option<PathBuf> {
        match self.notes.get_mut(&process.stat.identity) {
            Some(note) => note.now(process.executable).code.clone(),
            None => self.is_tainted(process.executable).then(|| PathBuf::from("origin unknown")),
        }
    }

    /// Whether `child` descends from the program that its parent runs now, rather than from an earlier one of the
    /// same process.
    pub fn descends(&mut self, child: Member, parent: Member) -> bool {
        // Who never executed anything has no children but its own.
        let Some(note) = self.notes.get_mut(&parent.stat.identity) else { return !self.all_tainted };
        let run = note.now(parent.executable);
        if run.alone {
            return true;
        }
        let younger = !run.elders.more
            && !run.elders.known.contains(&child.stat.identity)
            && child.stat.identity.started >= run.since;
        // Those that are older can give a parent children after the fact: with `CLONE_PARENT`, or by ending when the
        // parent collects orphans. Such a child runs what they run.
        younger
            && match self.notes.get(&child.stat.identity) {
                Some(note) => note.origin == Some(parent.stat.identity),
                None => self.is_fork(child, parent),
            }
    }

    /// What is known of a process that has not executed anything so far.
    fn fork(&self, process: Member, parent: Option<Member>, ordered: bool) -> Note {
        let tainted = !ordered && self.is_tainted(process.executable);
        let code = tainted.then(|| PathBuf::from("origin unknown"));
        let origin = parent.filter(|parent| self.is_fork(process, *parent)).map(|p| p.stat.identity);
        Note { run: Run { code, alone: true, ..Run::default() }, next: None, origin }
    }

    fn is_fork(&self, child: Member, parent: Member) -> bool {
        child.executable == parent.executable && !self.is_tainted(child.executable)
    }

    /// Whether a process with this executable, of which nothing else is known, may have foreign code in it.
    pub fn is_tainted(&self, executable: Option<FileId>) -> bool {
        self.all_tainted || executable.is_some_and(|file| self.tainted.contains(&file))
    }

    fn taint(&mut self, becoming: Becoming) {
        match becoming {
            Becoming::Files(files) if self.tainted.len() + files.len() <= MOST => self.tainted.extend(files),
            _ => self.all_tainted = true,
        }
    }

    fn make_room(&mut self, lives: impl Fn(Identity) -> bool) {
        if self.notes.len() < MOST {
            return;
        }
        self.notes.retain(|identity, _| lives(*identity));
        // With that many alive at once, all of them lose their origin. The room is made for half of the notes, so
        // that it is not made at every `execve`.
        if self.notes.len() > MOST / 2 {
            self.notes.clear();
            self.all_tainted = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: FileId = (1, 1);
    const CURL: FileId = (1, 2);
    const PERL: FileId = (1, 3);

    fn member(pid: u32, parent: u32, executable: FileId) -> Member {
        let identity = Identity { pid, started: u64::from(pid) };
        Member { stat: Stat { identity, parent }, executable: Some(executable) }
    }

    fn executes(process: Member) -> Announced {
        let becoming = Becoming::Files(vec![CURL]);
        let (elders, at) = (Elders::default(), process.stat.identity.started);
        let parent = None;
        Announced { process, parent, ordered: false, code: None, becoming, elders, threads: false, at }
    }

    fn evil() -> Option<PathBuf> {
        Some("/workspace/evil.so".into())
    }

    fn announce(lineage: &mut Lineage, announced: Announced) {
        lineage.announce(announced, |_| true);
    }

    #[test]
    fn code_that_was_brought_in_stays_until_another_program_runs() {
        let mut lineage = Lineage::default();
        announce(&mut lineage, Announced { code: evil(), ..executes(member(7, 1, SHELL)) });
        assert_eq!(lineage.code(member(7, 1, CURL)), evil());
        announce(&mut lineage, executes(member(7, 1, CURL)));
        assert_eq!(lineage.code(member(7, 1, CURL)), evil(), "an execve that failed cleans nothing");
        assert_eq!(lineage.code(member(7, 1, SHELL)), None);
    }

    #[test]
    fn a_clean_attempt_does_not_hide_one_that_is_on_its_way() {
        let mut lineage = Lineage::default();
        announce(&mut lineage, Announced { code: evil(), ..executes(member(7, 1, SHELL)) });
        announce(&mut lineage, executes(member(7, 1, SHELL)));
        assert_eq!(lineage.code(member(7, 1, CURL)), evil());
    }

    #[test]
    fn a_fork_is_clean_as_long_as_its_program_always_was() {
        let mut lineage = Lineage::default();
        announce(&mut lineage, executes(member(7, 1, SHELL)));
        assert_eq!(lineage.code(member(8, 7, CURL)), None);
        announce(&mut lineage, Announced { code: evil(), ..executes(member(9, 1, SHELL)) });
        assert_eq!(lineage.code(member(8, 7, CURL)), Some("origin unknown".into()));
        assert_eq!(lineage.code(member(7, 1, CURL)), None, "what it executed itself is known");
        assert_eq!(lineage.code(member(10, 7, PERL)), None);
        let anything =
            Announced { code: evil(), becoming: Becoming::Anything, ..executes(member(11, 1, SHELL)) };
        announce(&mut lineage, anything);
        assert!(lineage.code(member(10, 7, PERL)).is_some());
    }

    #[test]
    fn a_fork_of_unknown_origin_does_not_become_clean_by_a_failing_execve() {
        let mut lineage = Lineage::default();
        announce(&mut lineage, Announced { code: evil(), ..executes(member(7, 1, SHELL)) });
        announce(&mut lineage, executes(member(8, 7, CURL)));
        assert!(lineage.code(member(8, 7, CURL)).is_some());
        assert!(lineage.code(member(8, 7, SHELL)).is_none());
    }

    #[test]
    fn code_that_is_found_when_a_program_begins_is_in_it_and_makes_its_forks_unknown() {
        let mut lineage = Lineage::default();
        let found = |lineage: &mut Lineage, process| lineage.found(process, Path::new("/workspace/evil.so"));
        announce(&mut lineage, executes(member(7, 1, SHELL)));
        found(&mut lineage, member(7, 1, CURL));
        announce(&mut lineage, executes(member(7, 1, CURL)));
        assert_eq!(lineage.code(member(7, 1, CURL)), evil());
        assert_eq!(lineage.code(member(8, 7, CURL)), Some("origin unknown".into()));
        assert_eq!(lineage.code(member(7, 1, SHELL)), None, "the next program is another");
        // Another thread that lays a false trail while the call is on its way.
        announce(&mut lineage, executes(member(9, 1, SHELL)));
        found(&mut lineage, member(9, 1, SHELL));
        assert_eq!(lineage.code(member(9, 1, CURL)), evil());
        announce(&mut lineage, Announced { ordered: true, ..executes(member(10, 1, SHELL)) });
        found(&mut lineage, member(10, 1, PERL));
        found(&mut lineage, member(11, 10, PERL));
        assert_eq!(lineage.code(member(10, 1, PERL)), None, "the operator chose it");
        assert_eq!(lineage.code(member(11, 10, PERL)), None);
    }

    #[test]
    fn what_the_warden_ordered_is_clean() {
        let mut lineage = Lineage::default();
        let unseen = Member { executable: None, ..member(7, 1, SHELL) };
        announce(&mut lineage, Announced { code: evil(), ordered: true, ..executes(unseen) });
        assert_eq!(lineage.code(member(7, 1, CURL)), None);
        assert_eq!(lineage.code(member(8, 7, CURL)), None);
    }

    #[test]
    fn the_children_of_a_program_are_its_own_where_nobody_was_before() {
        let mut lineage = Lineage::default();
        let (shell, child) = (member(7, 1, SHELL), member(8, 7, SHELL));
        announce(&mut lineage, executes(member(7, 1, PERL)));
        assert!(lineage.descends(child, shell));
        announce(&mut lineage, Announced { parent: Some(shell), ..executes(child) });
        assert!(lineage.descends(member(8, 7, CURL), shell));
        assert!(lineage.descends(member(9, 8, CURL), member(8, 7, CURL)));
    }

    #[test]
    fn those_that_are_older_than_a_program_are_not_its_children() {
        let mut lineage = Lineage::default();
        let older = member(8, 7, PERL);
        announce(&mut lineage, Announced { parent: Some(member(7, 1, PERL)), ..executes(older) });
        let elders = Elders { known: [older.stat.identity].into(), more: false };
        announce(&mut lineage, Announced { elders, at: 20, ..executes(member(7, 1, PERL)) });
        let now = member(7, 1, SHELL);
        assert!(!lineage.descends(member(8, 7, CURL), now), "it was listed");
        assert!(!lineage.descends(member(19, 7, SHELL), now), "it started before");
        assert!(!lineage.descends(member(21, 7, PERL), now), "it runs what the older ones run");
        assert!(lineage.descends(member(22, 7, SHELL), now), "its own child");
        for (child, before, expected) in [(23, SHELL, true), (24, PERL, false)] {
            let announced = Announced { parent: Some(now), ..executes(member(child, 7, before)) };
            announce(&mut lineage, announced);
            assert_eq!(lineage.descends(member(child, 7, CURL), now), expected, "{child}");
        }
    }

    #[test]
    fn who_cannot_be_listed_cuts_every_child_off() {
        let mut lineage = Lineage::default();
        let elders = Elders { more: true, ..Elders::default() };
        announce(&mut lineage, Announced { elders, ..executes(member(7, 1, PERL)) });
        assert!(!lineage.descends(member(8, 7, SHELL), member(7, 1, SHELL)));
    }

    #[test]
    fn notes_are_bounded_and_nobody_is_cleaned_by_being_forgotten() {
        let mut lineage = Lineage::default();
        let most = u32::try_from(MOST).unwrap();
        for pid in 2..most + 100 {
            lineage.announce(executes(member(pid, 1, SHELL)), |identity| identity.pid > most);
        }
        assert!(lineage.notes.len() < 200 && lineage.code(member(most + 500, 1, CURL)).is_none());
        for pid in 2..most + 100 {
            announce(&mut lineage, executes(member(pid, 1, SHELL)));
        }
        assert!(lineage.notes.len() <= MOST && lineage.code(member(most + 500, 1, CURL)).is_some());
    }
}
