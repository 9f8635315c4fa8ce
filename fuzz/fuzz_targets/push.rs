//! The commands of a push, on any bytes: no panic; what follows them makes no difference; an answer can be made.
#![no_main]

use creel_policy::Reading;
use creel_proxy::inspect::push;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(read) = push::read(bytes) else { return };
    let more = [bytes, b"PACK"].concat();
    assert_eq!(Some(&read), push::read(&more).as_ref());
    if let Reading::Is(updates) = &read.reading {
        assert_eq!(updates.len(), read.refs.len());
    }
    let _ = push::answer(&read, "refused\nbecause");
});
