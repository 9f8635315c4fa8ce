//! JSON-RPC bodies, on any bytes: no panic; what is told can be shown; lists of tools stay JSON when something is cut out.
#![no_main]

use creel_policy::{Message, Reading, canonical};
use creel_proxy::inspect::{rpc, tools};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = rpc::read(bytes);
    if let Reading::Is(messages) = &read.reading {
        assert!(!messages.is_empty() && messages.len() <= rpc::MOST_MESSAGES);
        // What is told is what a plain reader finds, too.
        let plain: serde_json::Value = serde_json::from_slice(bytes).expect("it was read as JSON");
        let items = plain.as_array().cloned().unwrap_or_else(|| vec![plain]);
        for (message, item) in messages.iter().zip(&items) {
            match message {
                Message::Call(call) => assert_eq!(item["method"], call.method.as_str()),
                _ => assert!(item.get("method").is_none()),
            }
        }
    }
    if let (Ok(_), Ok(text)) = (canonical::json(bytes), std::str::from_utf8(bytes))
        && let Some(cut) = tools::without(text, &|name| name.len() % 2 == 0)
    {
        canonical::json(cut.as_bytes()).expect("what is left is JSON");
        assert_eq!(tools::without(&cut, &|name| name.len() % 2 == 0), None);
    }
});
