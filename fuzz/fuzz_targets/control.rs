#![no_main]
//! Messages on a control socket: whatever the owner's client sends is read or refused, and what is read can be said again.

use creel_api::control::{Answer, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(data) {
        let text = serde_json::to_vec(&request).expect("a request can be written");
        serde_json::from_slice::<Request>(&text).expect("and read again");
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(data) {
        let text = serde_json::to_vec(&answer).expect("an answer can be written");
        serde_json::from_slice::<Answer>(&text).expect("and read again");
    }
});
