//! What is written into a group's files for a bound.

use super::{Bounds, Controller};
use crate::SysError;
use rustix::io::Errno;

/// Files and their contents.
type Files = Vec<(&'static str, String)>;

pub(super) fn unified_files(controller: Controller, bounds: Bounds) -> Files {
    let one = |file, bound: Option<u64>| bound.map(|bound| (file, bound.to_string())).into_iter().collect();
    match controller {
        Controller::Pids => one("pids.max", bounds.pids),
        Controller::Memory => one("memory.max", bounds.memory),
        Controller::Swap => one("memory.swap.max", bounds.swap),
        Controller::Cpu => {
            let max = |millicpus| ("cpu.max", format!("{} 100000", quota(millicpus)));
            bounds.millicpus.map(max).into_iter().collect()
        }
    }
}

/// `EINVAL` for swap without memory: this hierarchy bounds only both together.
pub(super) fn separate_files(controller: Controller, bounds: Bounds) -> Result<Files, SysError> {
    let one = |file, bound: Option<u64>| bound.map(|bound| (file, bound.to_string())).into_iter().collect();
    Ok(match controller {
        Controller::Pids => one("pids.max", bounds.pids),
        Controller::Memory => one("memory.limit_in_bytes", bounds.memory),
        Controller::Swap => {
            let memory = bounds.memory.ok_or_else(|| {
                SysError::new("write", "memory.memsw.limit_in_bytes without a limit of memory", Errno::INVAL)
            })?;
            let both = memory.saturating_add(bounds.swap.unwrap_or(0));
            // The kernel takes no more than fits its signed page counter.
            vec![("memory.memsw.limit_in_bytes", both.min(i64::MAX as u64).to_string())]
        }
        Controller::Cpu => bounds.millicpus.map_or_else(Vec::new, |millicpus| {
            vec![("cpu.cfs_period_us", "100000".into()), ("cpu.cfs_quota_us", quota(millicpus).to_string())]
        }),
    })
}

/// Microseconds of CPU time in a period of 100 ms; the kernel takes no less than 1 ms.
fn quota(millicpus: u64) -> u64 {
    millicpus.saturating_mul(100).max(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_below_what_the_kernel_takes_is_the_least_it_takes() {
        assert_eq!([quota(1), quota(500), quota(u64::MAX)], [1000, 50_000, u64::MAX]);
    }

    #[test]
    fn separate_hierarchies_bound_swap_with_memory_only() {
        let both = Bounds { memory: Some(100), swap: Some(50), ..Bounds::default() };
        assert_eq!(
            separate_files(Controller::Swap, both).unwrap(),
            [("memory.memsw.limit_in_bytes", "150".to_owned())]
        );
        let alone = Bounds { swap: Some(50), ..Bounds::default() };
        assert_eq!(separate_files(Controller::Swap, alone).unwrap_err().errno, Errno::INVAL);
        assert_eq!(unified_files(Controller::Swap, alone), [("memory.swap.max", "50".to_owned())]);
    }
}
