//! `creel demo`: an offline tour.
//!
//! It starts an HTTPS upstream and a model backend of its own on loopback, runs a small scripted agent in a
//! sandbox through the same command line that anyone uses, changes the policy while the agent runs, and reads the
//! record back. Nothing is staged: every line the agent prints is what really happened to it.

mod upstream;

use crate::failure::Failure;
use crate::output;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use upstream::Upstream;

const NAME: &str = "creel-demo";
const AGENT: &str = include_str!("agent.sh");
const BACKEND_KEY: &str = "sk-demo-only-the-backend-knows";

/// Takes the tour.
pub fn demo() -> Result<ExitCode, Failure> {
    let tour = Tour::prepare()?;
    heading("The policy");
    output::print(&tour.policy(false));
    heading("The agent, in its sandbox");
    let mut agent = tour.start()?;
    let mut changed = Ok(());
    if let Some(out) = agent.stdout.take() {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if line == "WAITING-FOR-A-LIVE-CHANGE" {
                changed = tour.change();
            } else {
                output::print(&format!("  {line}\n"));
            }
        }
    }
    let status = agent.wait()?;
    changed?;
    heading("What reached the outside");
    tour.upstream.lines().iter().for_each(|line| output::print(&format!("  {line}\n")));
    heading("The record: what was refused");
    tour.creel(&["audit", "show", &tour.record(), "--refused"])?;
    heading("The record: was it altered?");
    tour.creel(&["audit", "verify", &tour.record()])?;
    output::print(&format!("\nThe record stays in {}. Next: creel run -- bash\n", tour.record()));
    if status.success() && tour.upstream.saw_key(BACKEND_KEY) {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::new("the tour did not go as planned; `creel doctor` says what this machine lacks"))
    }
}

struct Tour {
    dir: PathBuf,
    upstream: Upstream,
}

impl Tour {
    fn prepare() -> Result<Self, Failure> {
        if Command::new("curl").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
        {
            return Err(Failure::new("the tour's agent is a shell script that needs curl")
                .hint("apt-get install curl"));
        }
        let dir = std::env::temp_dir().join(format!("creel-demo-{}", std::process::id()));
        fs::create_dir_all(dir.join("workspace/.git/hooks"))?;
        fs::write(dir.join("workspace/agent.sh"), AGENT)?;
        fs::write(dir.join("workspace/.env"), "API_TOKEN=not-for-agents\n")?;
        fs::write(dir.join("secret"), "not for agents\n")?;
        let upstream = Upstream::start()?;
        fs::write(dir.join("ca.pem"), upstream.authority())?;
        let tour = Self { dir, upstream };
        fs::write(tour.path("policy.yaml"), tour.policy(false))?;
        fs::write(tour.path("wider.yaml"), tour.policy(true))?;
        fs::write(tour.path("backend.key"), BACKEND_KEY)?;
        Ok(tour)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn record(&self) -> String {
        self.path("record").display().to_string()
    }

    /// The policy of the tour; the wider one also admits `docs.demo.test`.
    fn policy(&self, wider: bool) -> String {
        let docs = if wider {
            "    - { name: docs, to: [docs.demo.test], http: { allow: [\"GET /**\"] } }\n"
        } else {
            ""
        };
        format!(
            "version: 1\nname: demo\nfilesystem:\n  workspace: {{ path: ., access: write }}\n  read: [./.git/hooks]\n  hide: [./.env]\n\
             process:\n  limits: {{ processes: 128, time: 2m }}\n\
             network:\n  rules:\n    - {{ name: read-repos, to: [api.demo.test], http: {{ allow: [\"GET /repos/**\"] }} }}\n{docs}\
             inference:\n  backends:\n    - {{ name: local, base_url: \"http://{}/v1\", key: \"file:{}\" }}\n  models: {{ default: [local/demo-model] }}\n",
            self.upstream.backend(),
            self.path("backend.key").display()
        )
    }

    fn start(&self) -> Result<Child, Failure> {
        let mut command = Command::new(own_binary()?);
        command.args(["run", "-T", "--quiet", "--name", NAME, "--policy"]).arg(self.path("policy.yaml"));
        command.arg("--workspace").arg(self.path("workspace")).arg("--record").arg(self.path("record"));
        command.arg("--trust").arg(self.path("ca.pem"));
        for host in ["api.demo.test", "docs.demo.test"] {
            command.arg("--resolve").arg(format!("{host}={}", self.upstream.https()));
        }
        command.arg("--env").arg(format!("OUTSIDE={}", self.path("secret").display()));
        command.arg("--env").arg(format!("OUTSIDE_PID={}", std::process::id()));
        command.args(["--", "/bin/sh", "./agent.sh"]).stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(command.spawn()?)
    }

    /// Widens the policy while the agent runs.
    fn change(&self) -> Result<(), Failure> {
        heading("A live change: creel policy set (the agent goes on running)");
        let wider = self.path("wider.yaml").display().to_string();
        self.creel(&["policy", "set", NAME, &wider])?;
        heading("The agent goes on");
        fs::write(self.path("workspace/changed"), "")?;
        Ok(())
    }

    /// Runs another verb, with its output where ours goes.
    fn creel(&self, arguments: &[&str]) -> Result<(), Failure> {
        let shown = Command::new(own_binary()?).args(arguments).stdin(Stdio::null()).output()?;
        for line in String::from_utf8_lossy(&shown.stdout)
            .lines()
            .chain(String::from_utf8_lossy(&shown.stderr).lines())
        {
            output::print(&format!("  {line}\n"));
        }
        if shown.status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("`creel {}` failed", arguments.join(" "))))
        }
    }
}

impl Drop for Tour {
    fn drop(&mut self) {
        for name in ["workspace", "policy.yaml", "wider.yaml", "backend.key", "secret", "ca.pem"] {
            let path: &Path = &self.path(name);
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

fn own_binary() -> Result<PathBuf, Failure> {
    Ok(std::env::current_exe()?)
}

fn heading(text: &str) {
    if output::colour() {
        output::print(&format!("\n\x1b[1m{text}\x1b[0m\n"));
    } else {
        output::print(&format!("\n{text}\n"));
    }
}
