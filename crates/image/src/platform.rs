//! Which image of several is for this machine.

use crate::documents::{Descriptor, Platform};

/// The architecture as images name it.
fn here() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `linux/amd64`, or what this machine is.
pub(crate) fn name() -> String {
    format!("linux/{}", here())
}

/// Whether an image that says this of itself runs here; what is not said does not speak against it.
pub(crate) fn fits(os: &str, architecture: &str) -> bool {
    (os.is_empty() || os == "linux") && (architecture.is_empty() || architecture == here())
}

/// The image of an index that is for this machine. Where several are, the first whose variant every such machine
/// has; attestations, which say `unknown`, are passed over.
pub(crate) fn choose(images: &[Descriptor]) -> Option<&Descriptor> {
    let ours = |platform: &Platform| platform.os == "linux" && platform.architecture == here();
    let plain = |platform: &Platform| matches!(platform.variant.as_deref(), None | Some("" | "v8" | "v1"));
    let of = |want: &dyn Fn(&Platform) -> bool| images.iter().find(|d| d.platform.as_ref().is_some_and(want));
    of(&|p| ours(p) && plain(p)).or_else(|| of(&ours)).or_else(|| match images {
        // One that says nothing is judged by its configuration.
        [only] if only.platform.is_none() => Some(only),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(number: u8, platform: Option<(&str, &str, Option<&str>)>) -> Descriptor {
        Descriptor {
            digest: crate::Sha256(creel_types::Digest([number; 32])),
            size: 0,
            platform: platform.map(|(os, architecture, variant)| Platform {
                os: os.into(),
                architecture: architecture.into(),
                variant: variant.map(Into::into),
            }),
            annotations: Default::default(),
        }
    }

    #[test]
    fn the_image_for_this_machine_is_chosen() {
        let check = |images: &[Descriptor], want: Option<u8>| {
            assert_eq!(choose(images).map(|d| d.digest.0.0[0]), want);
        };
        let other = image(1, Some(("linux", "s390x", None)));
        let windows = image(2, Some(("windows", here(), None)));
        let attestation = image(3, Some(("unknown", "unknown", None)));
        let newer = image(4, Some(("linux", here(), Some("v3"))));
        let ours = image(5, Some(("linux", here(), None)));
        check(&[other.clone(), windows.clone(), attestation.clone(), newer.clone(), ours.clone()], Some(5));
        check(&[other.clone(), newer.clone()], Some(4));
        check(&[other.clone(), windows, attestation], None);
        check(&[image(6, None)], Some(6));
        check(&[image(6, None), image(7, None)], None);
        check(&[], None);
    }
}
