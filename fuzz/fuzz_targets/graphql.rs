//! GraphQL requests, on any text and any bytes: no panic, and bounded.
#![no_main]

use creel_policy::Reading;
use creel_proxy::inspect::graphql;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = graphql::read(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let request = serde_json::json!({ "query": text }).to_string();
    if let Reading::Is(fields) = graphql::read(request.as_bytes()) {
        assert!(!fields.is_empty() && fields.len() <= 2 * graphql::MOST_FIELDS);
    }
});
