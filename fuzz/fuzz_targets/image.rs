//! Names of images and of roots: what is read prints as something that is read the same.
#![no_main]

use creel_image::{Reference, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        let again: Reference = reference.to_string().parse().unwrap();
        assert_eq!(again.to_string(), reference.to_string());
        assert!(!reference.server().contains(['/', '@', '?', '#']));
        assert!(!reference.path.contains("..") && !reference.path.contains(['?', '#', '%', ' ', '@']));
    }
    if let Ok(source) = text.parse::<Source>() {
        assert_eq!(source.to_string().parse::<Source>().unwrap(), source);
    }
});
