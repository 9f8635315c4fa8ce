use crate::support::Case;
pub const CASES: &[Case] = &[];
