//! Every message between Creel's processes: the plan that a jail obeys, what it answers, and what is said
//! through a sandbox's control socket. Shapes only; no behaviour beyond encoding.

pub mod control;
pub mod enforced;
pub mod plan;
pub mod posture;
