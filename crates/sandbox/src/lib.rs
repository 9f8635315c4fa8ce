//! One sandbox: makes a plan from a policy, wires the jail, the proxy, inference and the record together, owns
//! the life cycle, and applies live changes. The only place where the parts meet.
//!
//! It decides nothing that a policy decides, opens no connection, and knows no syscall: each of those has a crate
//! of its own, and this one is the wiring between them.

mod environment;
mod etc;
mod plan;
