//! The trust stores that programs inside the sandbox will read.

pub use crate::jks::{JksError, STORE_PASSWORD};

use crate::jks;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::{Path, PathBuf};

/// Where distributions keep the bundle of authorities, most common first.
pub const PEM_PLACES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cacert.pem",
];

/// Where distributions keep Java's truststore.
pub const JAVA_PLACES: [&str; 3] =
    ["/etc/ssl/certs/java/cacerts", "/etc/pki/ca-trust/extracted/java/cacerts", "/etc/pki/java/cacerts"];

/// The first of `places` beneath `root` that can be read, with its contents.
pub fn find(root: &Path, places: &[&str]) -> Option<(PathBuf, Vec<u8>)> {
    places.iter().find_map(|place| {
        let path = root.join(place.trim_start_matches('/'));
        std::fs::read(&path).ok().map(|bytes| (PathBuf::from(place), bytes))
    })
}

/// The machine's bundle with `authorities` after it.
///
/// Without a bundle on the machine the result holds `authorities` alone: connections that are passed through
/// unopened will then not verify inside.
pub fn pem(machine: Option<&[u8]>, authorities: &[CertificateDer<'_>]) -> Vec<u8> {
    let mut text = machine.unwrap_or_default().to_vec();
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    for authority in authorities {
        text.extend_from_slice(to_pem(authority).as_bytes());
    }
    text
}

/// Java's truststore with `authorities` in it: the machine's own with entries added, or a new one from the machine's
/// PEM bundle where it has none that can be extended.
pub fn java(
    existing: Option<&[u8]>,
    machine_pem: Option<&[u8]>,
    authorities: &[CertificateDer<'_>],
) -> Vec<u8> {
    let ours = || authorities.iter().enumerate().map(|(n, der)| (format!("creel-{n}"), der.as_ref()));
    if let Some(extended) = existing.and_then(|store| jks::extend(store, ours()).ok()) {
        return extended;
    }
    let machine: Vec<_> =
        CertificateDer::pem_slice_iter(machine_pem.unwrap_or_default()).filter_map(Result::ok).collect();
    let known = machine.iter().enumerate().map(|(n, der)| (format!("authority-{n}"), der.as_ref()));
    jks::create(known.chain(ours()))
}

fn to_pem(der: &[u8]) -> String {
    let body = base64(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().map(|b| char::from(*b)));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// RFC 4648 section 4; a dependency for one line of alphabet would be longer.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for sextet in 0..4 {
            let known = sextet <= three.len();
            let index = (bits >> (18 - 6 * sextet) & 63) as usize;
            text.push(if known { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Authority;

    #[test]
    fn a_bundle_keeps_what_it_had_and_ends_with_ours() {
        let authority = Authority::new("x").unwrap();
        let whole = pem(Some(b"# machine"), &[authority.der().clone()]);
        let text = String::from_utf8(whole).unwrap();
        assert!(text.starts_with("# machine\n-----BEGIN"));
        assert_eq!(text.trim_start_matches("# machine\n"), authority.pem().replace("\r\n", "\n"));
    }

    #[test]
    fn base64_pads() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
