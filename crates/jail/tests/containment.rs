//! Sandboxes that really start, and what cannot be done inside.

mod support;

use support::{Case, sh};

const CASES: &[Case] = &[("a_command_runs_in_all_layers", a_command_runs_in_all_layers)];

fn main() {
    support::main(CASES);
}

fn a_command_runs_in_all_layers() {
    let done = sh("echo hello; id -u; cat /etc/creel/marker; ls /; exit 7");
    assert!(done.output.starts_with("hello\n"), "{done:?}");
    assert!(done.output.contains("here\n"), "{done:?}");
    assert_eq!(done.status(), 7, "{done:?}");
}
