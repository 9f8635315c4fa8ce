//! A policy as texts, and the YAML that says it.

/// What the interpreter and the compiler are both given.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// `network.deny`, in a document that is included, where a deny that denies nothing is a guard and no error.
    pub deny: Vec<String>,
    pub rules: Vec<Rule>,
    pub exec_allow: Vec<Run>,
    pub exec_deny: Vec<Run>,
    pub read: Vec<String>,
    pub write: Vec<String>,
    pub hide: Vec<String>,
    /// The model that every call is answered with, as `BACKEND/MODEL`.
    pub model: Option<String>,
    pub capture: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub name: String,
    pub to: Vec<String>,
    pub from: Vec<String>,
    pub form: Form,
    pub addresses: Vec<String>,
}

#[derive(Debug, Clone)]
pub enum Form {
    Plain,
    Raw,
    Http { allow: Vec<String>, deny: Vec<String> },
}

/// An entry of `exec`.
#[derive(Debug, Clone)]
pub struct Run {
    pub run: String,
    pub from: Vec<String>,
}

impl Written {
    /// The document that includes [`Self::guard`].
    pub fn yaml(&self) -> String {
        let mut text = String::from("version: 1\ninclude: [./guard.yaml]\n");
        for (key, list) in [("read", &self.read), ("write", &self.write), ("hide", &self.hide)] {
            if !list.is_empty() && !text.contains("filesystem:") {
                text.push_str("filesystem:\n");
            }
            text.push_str(&line("  ", key, list));
        }
        if !self.exec_allow.is_empty() || !self.exec_deny.is_empty() {
            text.push_str("process:\n  exec:\n");
            text.push_str(&runs("allow", &self.exec_allow));
            text.push_str(&runs("deny", &self.exec_deny));
        }
        if !self.rules.is_empty() {
            text.push_str("network:\n  rules:\n");
            self.rules.iter().for_each(|rule| text.push_str(&rule.yaml()));
        }
        if let Some(model) = &self.model {
            let backend = "{ name: b, base_url: \"https://models.test/v1\" }";
            text.push_str(&format!(
                "inference:\n  backends: [{backend}]\n  models: {{ default: [{model:?}] }}\n"
            ));
            text.push_str(&line("  ", "capture", &self.capture));
        }
        text
    }

    /// What is denied, for `./guard.yaml`.
    pub fn guard(&self) -> String {
        let deny = line("  ", "deny", &self.deny);
        if deny.is_empty() { "version: 1\n".to_owned() } else { format!("version: 1\nnetwork:\n{deny}") }
    }
}

impl Rule {
    fn yaml(&self) -> String {
        let mut text = format!("    - name: {}\n{}", self.name, line("      ", "to", &self.to));
        text.push_str(&line("      ", "from", &self.from));
        text.push_str(&line("      ", "addresses", &self.addresses));
        match &self.form {
            Form::Plain => {}
            Form::Raw => text.push_str("      raw: true\n"),
            Form::Http { allow, deny } => {
                text.push_str("      http:\n");
                text.push_str(&line("        ", "allow", allow));
                text.push_str(&line("        ", "deny", deny));
            }
        }
        text
    }
}

fn line(indent: &str, key: &str, list: &[String]) -> String {
    if list.is_empty() { String::new() } else { format!("{indent}{key}: {list:?}\n") }
}

fn runs(key: &str, list: &[Run]) -> String {
    let one = |run: &Run| match run.from.is_empty() {
        true => format!("{:?}", run.run),
        false => format!("{{ run: {:?}, from: {:?} }}", run.run, run.from),
    };
    let all: Vec<String> = list.iter().map(one).collect();
    if all.is_empty() { String::new() } else { format!("    {key}: [{}]\n", all.join(", ")) }
}
