//! Tar streams and images made by hand, also such as no tool writes.

use creel_image::{LayerError, Limits, Sha256, Unpacked, unpack};
use serde_json::json;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

/// One entry; `text` is a file's contents or where a link leads.
pub struct Item {
    pub kind: EntryType,
    pub name: String,
    pub text: Vec<u8>,
    pub mode: u32,
}

pub fn file(name: &str, text: &str) -> Item {
    Item { kind: EntryType::Regular, name: name.into(), text: text.into(), mode: 0o644 }
}

pub fn dir(name: &str) -> Item {
    Item { kind: EntryType::Directory, name: name.into(), text: Vec::new(), mode: 0o755 }
}

pub fn symlink(name: &str, to: impl AsRef<Path>) -> Item {
    Item { kind: EntryType::Symlink, name: name.into(), text: bytes(to), mode: 0o777 }
}

pub fn hard(name: &str, to: impl AsRef<Path>) -> Item {
    Item { kind: EntryType::Link, name: name.into(), text: bytes(to), mode: 0o644 }
}

pub fn other(name: &str, kind: EntryType) -> Item {
    Item { kind, name: name.into(), text: Vec::new(), mode: 0o644 }
}

fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    path.as_ref().as_os_str().as_encoded_bytes().to_vec()
}

/// The stream; names go into it as they are, which builders refuse.
pub fn tar(items: &[Item]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        let links = matches!(item.kind, EntryType::Symlink | EntryType::Link);
        for (what, kind) in [(item.name.as_bytes(), b'L'), (if links { &item.text } else { &[][..] }, b'K')] {
            if what.len() > 99 {
                let text = [what, b"\0"].concat();
                put(&mut out, b"././@LongLink", &[], &text, (EntryType::new(kind), 0o644));
            }
        }
        let (link, text) = if links { (&item.text[..], &[][..]) } else { (&[][..], &item.text[..]) };
        put(&mut out, item.name.as_bytes(), link, text, (item.kind, item.mode));
    }
    out.extend([0; 1024]);
    out
}

fn put(out: &mut Vec<u8>, name: &[u8], link: &[u8], text: &[u8], (kind, mode): (EntryType, u32)) {
    let mut header = Header::new_gnu();
    let old = header.as_old_mut();
    let (n, l) = (name.len().min(99), link.len().min(99));
    old.name[..n].copy_from_slice(&name[..n]);
    old.linkname[..l].copy_from_slice(&link[..l]);
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(33);
    header.set_gid(33);
    header.set_mtime(1_000_000);
    header.set_size(text.len() as u64);
    header.set_cksum();
    out.extend(header.as_bytes());
    out.extend(text);
    out.resize(out.len().next_multiple_of(512), 0);
}

pub fn open(dir: &Path) -> OwnedFd {
    fs::File::open(dir).unwrap().into()
}

/// Unpacks items into a directory with small bounds.
pub fn unpacked(into: &Path, items: &[Item]) -> Result<Unpacked, LayerError> {
    unpack(&tar(items)[..], open(into), Limits { bytes: 1 << 20, entries: 1000 })
}

/// A layout in a directory, layer by layer.
pub struct Layout {
    pub dir: PathBuf,
    layers: Vec<(serde_json::Value, String)>,
}

impl Layout {
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { dir: dir.to_owned(), layers: Vec::new() }
    }

    pub fn blob(&self, bytes: &[u8]) -> serde_json::Value {
        let digest = Sha256::of(bytes);
        fs::write(self.dir.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        json!({"digest": digest.to_string(), "size": bytes.len()})
    }

    /// Adds a layer; `packed` is how it is stored.
    pub fn layer(mut self, plain: &[u8], packed: &[u8]) -> Self {
        let blob = self.blob(packed);
        self.layers.push((blob, Sha256::of(plain).to_string()));
        self
    }

    pub fn manifest(&self, process: serde_json::Value) -> serde_json::Value {
        let diffs: Vec<_> = self.layers.iter().map(|(_, diff)| diff.clone()).collect();
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let config =
            json!({"os": "linux", "architecture": arch, "config": process, "rootfs": {"diff_ids": diffs}});
        let config = self.blob(config.to_string().as_bytes());
        let layers: Vec<_> = self.layers.iter().map(|(blob, _)| blob.clone()).collect();
        self.blob(json!({"config": config, "layers": layers}).to_string().as_bytes())
    }

    /// Writes an index with one image of this name.
    pub fn finish(self, name: &str) -> PathBuf {
        let mut manifest = self.manifest(json!({"Cmd": ["run"], "Env": ["A=b"]}));
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        fs::write(self.dir.join("index.json"), json!({"manifests": [manifest]}).to_string()).unwrap();
        self.dir
    }
}
