//! A DNS question: any bytes give an answer, an error reply or nothing, and what is answered can be read again.
#![no_main]

use creel_net::dns::{Answer, answer, parse, unframe};
use libfuzzer_sys::fuzz_target;
use std::net::Ipv4Addr;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(asked) = parse(bytes) {
        for say in [Answer::V4(Ipv4Addr::new(28, 0, 0, 1)), Answer::NoData, Answer::NoSuchName] {
            let reply = answer(&asked, &say);
            assert_eq!(reply[..2], bytes[..2], "the id is the question's");
            assert_eq!(reply[2] & 0x80, 0x80, "a reply says that it is one");
        }
    }
    if let Some((message, taken)) = unframe(bytes) {
        assert_eq!(message.len() + 2, taken);
    }
});
