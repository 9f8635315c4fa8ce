//! Java's own truststore format, version 2: enough of it to add authorities.
//!
//! A store is a header, entries, and a SHA-1 digest keyed by a password that everybody knows; the digest guards
//! against accidents, not attackers. Java has read this format under every name (`jks`, and `pkcs12` through its
//! dual-format loader) since version 8, so what cannot be extended is written anew in it.

use sha1::{Digest, Sha1};

/// The password of Java's stock truststore.
pub const STORE_PASSWORD: &str = "changeit";

const MAGIC: u32 = 0xFEED_FEED;
const VERSION: u32 = 2;
const TRUSTED: u32 = 2;
const DIGEST: usize = 20;

/// Why a truststore cannot be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JksError {
    /// Another format (PKCS#12, most likely) or version.
    #[error("not a Java truststore of version 2")]
    OtherFormat,
    /// The digest is of another password, or the file is damaged.
    #[error("the truststore's digest does not fit the password `changeit`")]
    WrongDigest,
}

/// The store with trusted certificates (an alias and DER each) added.
pub fn extend<'a>(
    store: &[u8],
    added: impl IntoIterator<Item = (String, &'a [u8])>,
) -> Result<Vec<u8>, JksError> {
    let (body, digest) =
        store.split_at_checked(store.len().wrapping_sub(DIGEST)).ok_or(JksError::OtherFormat)?;
    let word = |at: usize| body.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let (Some(MAGIC), Some(VERSION), Some(count)) = (word(0), word(4), word(8)) else {
        return Err(JksError::OtherFormat);
    };
    if seal(body) != digest {
        return Err(JksError::WrongDigest);
    }
    Ok(write(count, &body[12..], added))
}

/// A new store of trusted certificates.
pub fn create<'a>(entries: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    write(0, &[], entries)
}

fn write<'a>(mut count: u32, old: &[u8], added: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut store = Vec::with_capacity(old.len() + 4096);
    store.extend(MAGIC.to_be_bytes());
    store.extend(VERSION.to_be_bytes());
    store.extend([0; 4]);
    store.extend(old);
    for (alias, der) in added {
        entry(&mut store, &alias, der);
        count += 1;
    }
    store[8..12].copy_from_slice(&count.to_be_bytes());
    let digest = seal(&store);
    store.extend(digest);
    store
}

fn entry(store: &mut Vec<u8>, alias: &str, der: &[u8]) {
    store.extend(TRUSTED.to_be_bytes());
    text(store, alias);
    // Milliseconds since 1970; nobody reads it, and a fixed date keeps the store reproducible.
    store.extend(0_u64.to_be_bytes());
    text(store, "X.509");
    store.extend(u32::try_from(der.len()).unwrap_or(u32::MAX).to_be_bytes());
    store.extend(der);
}

/// Aliases are ASCII and short, where Java's modified UTF-8 is plain.
fn text(store: &mut Vec<u8>, text: &str) {
    store.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    store.extend(text.as_bytes());
}

fn seal(body: &[u8]) -> [u8; DIGEST] {
    let mut hash = Sha1::new();
    for unit in STORE_PASSWORD.encode_utf16() {
        hash.update(unit.to_be_bytes());
    }
    hash.update(b"Mighty Aphrodite");
    hash.update(body);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Authority;
    use std::process::Command;

    /// What `keytool` lists of the store, or nothing where Java is not installed.
    fn listed(store: &[u8]) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), store).unwrap();
        let run = Command::new("keytool")
            .args(["-J-Duser.language=en", "-list", "-storepass", STORE_PASSWORD, "-keystore"])
            .arg(file.path())
            .output()
            .ok()?;
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
        Some(String::from_utf8_lossy(&run.stdout).into_owned())
    }

    #[test]
    fn java_reads_what_is_created_and_what_is_extended() {
        let (one, two) = (Authority::new("one").unwrap(), Authority::new("two").unwrap());
        let store = create([("creel-0".to_owned(), one.der().as_ref())]);
        let more = extend(&store, [("creel-1".to_owned(), two.der().as_ref())]).unwrap();
        let Some(list) = listed(&more) else { return };
        assert!(list.contains("creel-0,") && list.contains("creel-1,"), "{list}");
        assert_eq!(list.matches("trustedCertEntry").count(), 2, "{list}");
    }

    #[test]
    fn the_machines_own_store_is_extended_or_named_as_another_format() {
        let Some((_, store)) = crate::bundle::find("/".as_ref(), &crate::bundle::JAVA_PLACES) else { return };
        let ours = Authority::new("ours").unwrap();
        match extend(&store, [("creel-0".to_owned(), ours.der().as_ref())]) {
            Ok(more) => assert!(listed(&more).is_none_or(|list| list.contains("creel-0,"))),
            Err(why) => assert_eq!(why, JksError::OtherFormat),
        }
    }

    #[test]
    fn damage_and_other_formats_are_told_apart() {
        let mut store = create([]);
        assert_eq!(store.len(), 32);
        assert!(extend(&store, []).is_ok());
        store[31] ^= 1;
        assert_eq!(extend(&store, []), Err(JksError::WrongDigest));
        assert_eq!(extend(b"\x30\x82PKCS12", []), Err(JksError::OtherFormat));
        assert_eq!(extend(&[0x30; 64], []), Err(JksError::OtherFormat));
    }
}
