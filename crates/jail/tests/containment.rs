//! Sandboxes that really start, and what cannot be done inside. Each case says what it asserts; the attacks are those
//! that happened to others.
// Clippy knows tests by their harness, and this one has its own.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod support;

#[path = "containment/attacks.rs"]
mod attacks;
#[path = "containment/basics.rs"]
mod basics;
#[path = "containment/changes.rs"]
mod changes;
#[path = "containment/network.rs"]
mod network;
#[path = "containment/posture.rs"]
mod posture;

fn main() {
    let cases = [basics::CASES, attacks::CASES, network::CASES, changes::CASES, posture::CASES].concat();
    support::main(&cases);
}
