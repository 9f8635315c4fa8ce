//! Answers of the kernel over netlink: any bytes are read within their bounds or refused, and the reading ends.
#![no_main]

use creel_kernel::netlink::{Answer, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(answers) = parse(bytes) {
        assert!(answers.len() <= bytes.len().div_ceil(16), "every answer has a header of its own");
        for answer in answers {
            if let Answer::Ack { errno, .. } = answer {
                assert!(errno >= 0, "an error number is positive");
            }
        }
    }
});
