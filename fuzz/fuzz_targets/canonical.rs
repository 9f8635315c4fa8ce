//! Canonical forms are fixed points, and hold nothing that has a second reading.
#![no_main]

use creel_policy::canonical;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(host) = canonical::host(text) {
        assert_eq!(canonical::host(&host.to_string()), Ok(host));
    }
    if let Ok(path) = canonical::path(text) {
        assert_eq!(canonical::path(path.as_str()).as_ref(), Ok(&path));
        assert!(path.path().starts_with('/') && !path.path().contains("//"));
        assert!(path.path().split('/').all(|segment| segment != "." && segment != ".."));
    }
    if let Ok(method) = canonical::method(text) {
        assert_eq!(canonical::method(method), Ok(method));
    }
});
