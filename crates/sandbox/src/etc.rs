//! The files that Creel lays over the system's `/etc`.
//!
//! Names resolve at the sandbox's own server, the sandbox's authority is trusted wherever programs look for roots,
//! and of the host's users only the one who runs is named. Run by root, what an ordinary user could not read on
//! the host is hidden, because inside the agent still is the files' owner.

use crate::environment::CA_BUNDLE;
use creel_api::plan::Injected;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Other places where distributions and libraries look for the bundle; `/etc` relative.
const BUNDLES: [&str; 5] = [
    "ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Alpine, Arch
    "ssl/cert.pem",                  // Alpine, OpenBSD, LibreSSL
    "ssl/ca-bundle.pem",             // SUSE
    "pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
    "pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// Java's trust store where distributions keep it; `/etc` relative.
pub const JAVA_STORES: [&str; 2] = ["ssl/certs/java/cacerts", "pki/ca-trust/extracted/java/cacerts"];

/// Who runs inside.
pub struct User {
    /// Login name.
    pub name: String,
    /// User id, the same inside and outside.
    pub uid: u32,
    /// Group id, the same inside and outside.
    pub gid: u32,
    /// Home directory inside.
    pub home: PathBuf,
}

/// What `/etc` is made of.
pub struct Sources<'a> {
    /// Host name inside.
    pub hostname: &'a str,
    /// Who runs.
    pub user: &'a User,
    /// PEM bundle with the sandbox's authority.
    pub bundle: &'a [u8],
    /// Java trust store with the sandbox's authority; `None` when the host has no Java.
    pub java: Option<&'a [u8]>,
    /// Whether the system's `/etc` has this, relative to it.
    pub has: &'a dyn Fn(&str) -> bool,
    /// What of it is hidden, as [`private`] finds it.
    pub private: Vec<PathBuf>,
}

/// All files, in no order that matters.
pub fn files(sources: &Sources<'_>) -> Vec<Injected> {
    let mut files = vec![
        text("resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n".into()),
        text("nsswitch.conf", NSSWITCH.into()),
        text("hostname", format!("{}\n", sources.hostname)),
        text("hosts", hosts(sources.hostname)),
        text("passwd", passwd(sources.user)),
        text("group", group(sources.user)),
    ];
    for place in BUNDLES {
        if Path::new("/etc").join(place) == Path::new(CA_BUNDLE) || (sources.has)(place) {
            files.push(Injected { path: place.into(), bytes: sources.bundle.to_vec(), mode: 0o444 });
        }
    }
    if let Some(store) = sources.java {
        for place in JAVA_STORES {
            if (sources.has)(place) {
                files.push(Injected { path: place.into(), bytes: store.to_vec(), mode: 0o444 });
            }
        }
    }
    let given: HashSet<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    let hidden = sources.private.iter().filter(|path| !given.contains(*path));
    files.extend(hidden.map(|path| Injected { path: path.clone(), bytes: Vec::new(), mode: 0 }));
    files
}

/// Everything in `system` that others than its owner cannot read. Only root's own sandbox needs it hidden.
///
/// An error when something cannot be looked at: what was not found would be shown.
pub fn private(system: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    match fs::File::open(system) {
        Ok(top) => find_private(&top.into(), Path::new(""), &mut found)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
                        protocols: files\nservices: files\nethers: files\nrpc: files\n";

fn hosts(hostname: &str) -> String {
    format!("127.0.0.1 localhost {hostname}\n::1 localhost ip6-localhost ip6-loopback {hostname}\n")
}

fn passwd(user: &User) -> String {
    let line = |name: &str, uid: u32, gid: u32, home: &str| format!("{name}:x:{uid}:{gid}::{home}:/bin/sh\n");
    let mut all = String::new();
    if user.uid != 0 {
        all += &line("root", 0, 0, "/root");
    }
    all += &line(&user.name, user.uid, user.gid, &user.home.to_string_lossy());
    all + "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
}

fn group(user: &User) -> String {
    let own = if user.gid == 0 { String::new() } else { format!("{}:x:{}:\n", user.name, user.gid) };
    format!("root:x:0:\ntty:x:5:\n{own}nogroup:x:65534:\n")
}

fn text(path: &str, text: String) -> Injected {
    Injected { path: path.into(), bytes: text.into_bytes(), mode: 0o444 }
}

/// Finds every file and directory beneath `dir` that others cannot read.
///
/// A few hundred are looked at for every start, so each is looked at by its name in the open directory.
fn find_private(dir: &OwnedFd, under: &Path, found: &mut Vec<PathBuf>) -> Result<(), Errno> {
    const DEEPEST: usize = 12;
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        // Most of /etc is links; the directory itself says so, without a look at each.
        if name == c"." || name == c".." || entry.file_type() == FileType::Symlink {
            continue;
        }
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            looked => looked?,
        };
        let path = under.join(OsStr::from_bytes(name.to_bytes()));
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Symlink {
            continue;
        } else if !Mode::from_raw_mode(stat.st_mode).contains(Mode::ROTH) {
            found.push(path);
        } else if kind == FileType::Directory && path.components().count() < DEEPEST {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(dir, name, flags, Mode::empty()) {
                Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
                opened => find_private(&opened?, &path, found)?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn made(uid: u32, system: &Path) -> Vec<Injected> {
        let user = User { name: "ada".into(), uid, gid: uid, home: "/home/ada".into() };
        let private = if uid == 0 { private(system).unwrap() } else { Vec::new() };
        files(&Sources { hostname: "box", user: &user, bundle: b"PEM", java: None, has: &|_| false, private })
    }

    fn of<'a>(files: &'a [Injected], path: &str) -> Option<&'a Injected> {
        files.iter().find(|file| file.path == Path::new(path))
    }

    #[test]
    fn only_the_one_who_runs_is_named() {
        let files = made(1000, Path::new("/nonexistent"));
        let passwd = String::from_utf8(of(&files, "passwd").unwrap().bytes.clone()).unwrap();
        assert!(passwd.contains("ada:x:1000:1000::/home/ada:/bin/sh\n"), "{passwd}");
        assert_eq!(passwd.lines().count(), 3);
    }

    #[test]
    fn run_by_root_what_others_cannot_read_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("shadow", 0o640), ("motd", 0o644)] {
            fs::write(dir.path().join(name), "x").unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let hidden = made(0, dir.path());
        assert_eq!(of(&hidden, "shadow").map(|f| (f.mode, f.bytes.len())), Some((0, 0)));
        assert!(of(&hidden, "motd").is_none());
        assert!(of(&made(1000, dir.path()), "shadow").is_none());
    }
}
