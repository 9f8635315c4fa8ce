//! From the devices that a policy names to nodes of this machine, and for a root of its own to the driver's libraries.
//!
//! The kernel's part of NVIDIA's driver and its libraries must be of one version, so a root of its own gets the host's.
//! They stand in a directory that nothing else uses, named in `LD_LIBRARY_PATH`.

use creel_api::plan::{Place, What};
use creel_policy::Gpus;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the driver's libraries stand in a root of its own.
pub const LIBRARIES: &str = "/usr/local/nvidia/lib64";

/// Where distributions and the driver's installer put them on the host.
const PLACES: [&str; 5] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/local/nvidia/lib64",
    "usr/lib/wsl/lib",
];

/// The driver's own, and not the toolkit's that an image brings along.
const PREFIXES: [&str; 8] = [
    "libcuda.so",
    "libcudadebugger.so",
    "libnvcuvid.so",
    "libnvidia-",
    "libnvoptix.so",
    "libGLX_nvidia.so",
    "libEGL_nvidia.so",
    "libGLESv2_nvidia.so",
];

/// What every GPU needs; the first two must be there.
const SHARED: [&str; 4] = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"];
const NEEDED: usize = 2;

/// A device that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No GPU at all.
    #[error("the policy asks for GPUs, and {} has none", dev.display())]
    None {
        /// Where it was looked.
        dev: PathBuf,
    },
    /// Not this one.
    #[error("the policy asks for GPU {index}, and this machine has {known}")]
    Missing {
        /// The number asked for.
        index: u32,
        /// The numbers that are there.
        known: String,
    },
    /// The driver is not loaded whole.
    #[error("the policy asks for GPUs, and {} is missing: the driver is not loaded whole", path.display())]
    Incomplete {
        /// The node.
        path: PathBuf,
    },
}

/// The nodes that these GPUs need, relative to `dev`.
pub fn nodes(gpus: &Gpus, dev: &Path) -> Result<Vec<PathBuf>, DeviceError> {
    let there = numbers(dev);
    let wanted = match gpus {
        Gpus::None => return Ok(Vec::new()),
        Gpus::All => there.clone(),
        Gpus::These(wanted) => wanted.clone(),
    };
    if there.is_empty() {
        return Err(DeviceError::None { dev: dev.to_owned() });
    }
    if let Some(index) = wanted.iter().find(|index| !there.contains(index)) {
        let known = there.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(DeviceError::Missing { index: *index, known });
    }
    let mut nodes: Vec<PathBuf> = wanted.iter().map(|index| format!("nvidia{index}").into()).collect();
    for (number, name) in SHARED.iter().enumerate() {
        if dev.join(name).exists() {
            nodes.push(name.into());
        } else if number < NEEDED {
            return Err(DeviceError::Incomplete { path: dev.join(name) });
        }
    }
    Ok(nodes)
}

fn numbers(dev: &Path) -> Vec<u32> {
    let entries = fs::read_dir(dev).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_prefix("nvidia")?.parse().ok();
    let mut all: Vec<u32> = entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect();
    all.sort_unstable();
    all
}

/// The driver's libraries on a host, as places in a root of its own.
pub fn libraries(host: &Path) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for dir in PLACES {
        let entries = fs::read_dir(host.join(dir)).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let ours = name.to_str().is_some_and(|name| PREFIXES.iter().any(|p| name.starts_with(p)));
            let at = Path::new(LIBRARIES).join(&name);
            // A name of a library leads to one with its version; both are looked for by programs.
            let Ok(source) = entry.path().canonicalize() else { continue };
            if ours && source.is_file() && !places.iter().any(|place| place.at == at) {
                places.push(Place { at, what: What::Read(source) });
            }
        }
    }
    places.sort_by(|a, b| a.at.cmp(&b.at));
    places
}

/// The places of a plan with the libraries among them, parents first.
pub fn beside(libraries: Vec<Place>, places: &[Place]) -> Vec<Place> {
    let mut all: Vec<Place> = libraries.into_iter().chain(places.iter().cloned()).collect();
    all.sort_by(|a, b| a.at.cmp(&b.at));
    all
}

/// Names the libraries' directory where the loader looks, before what an image or the operator names.
pub fn add_to_search(env: &mut Vec<(OsString, OsString)>) {
    const VARIABLE: &str = "LD_LIBRARY_PATH";
    let mut value = OsString::from(LIBRARIES);
    if let Some((_, named)) = env.iter().find(|(key, _)| key == VARIABLE) {
        value.push(":");
        value.push(named);
    }
    env.retain(|(key, _)| key != VARIABLE);
    env.push((VARIABLE.into(), value));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| fs::write(dir.path().join(name), "").unwrap());
        dir
    }

    fn check(names: &[&str], gpus: Gpus, want: Result<&[&str], &str>) {
        let dev = dev(names);
        let found = nodes(&gpus, dev.path());
        match want {
            Ok(want) => assert_eq!(found.unwrap(), want.iter().map(PathBuf::from).collect::<Vec<_>>()),
            Err(words) => {
                let error = found.unwrap_err().to_string();
                assert!(error.contains(words), "{error}");
            }
        }
    }

    #[test]
    fn only_the_nodes_of_the_gpus_that_are_asked_for_are_given() {
        let two = ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidiafoo", "sda"];
        check(&two, Gpus::None, Ok(&[]));
        check(&two, Gpus::All, Ok(&["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"]));
        check(&two, Gpus::These(vec![1]), Ok(&["nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"]));
        check(&two, Gpus::These(vec![2]), Err("GPU 2, and this machine has 0, 1"));
        check(&[], Gpus::None, Ok(&[]));
        check(&["nvidiactl"], Gpus::All, Err("has none"));
        check(&["nvidia0", "nvidiactl"], Gpus::All, Err("nvidia-uvm is missing"));
    }

    #[test]
    fn the_drivers_libraries_are_found_and_nothing_else() {
        let host = tempfile::tempdir().unwrap();
        let dir = host.path().canonicalize().unwrap().join("usr/lib64");
        fs::create_dir_all(&dir).unwrap();
        for name in ["libcuda.so.550.1", "libcudart.so.12", "libc.so.6", "libnvidia-ml.so.1"] {
            fs::write(dir.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("libcuda.so.550.1", dir.join("libcuda.so.1")).unwrap();
        let found = libraries(host.path());
        let names: Vec<_> =
            found.iter().map(|place| place.at.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["libcuda.so.1", "libcuda.so.550.1", "libnvidia-ml.so.1"]);
        assert_eq!(found[0].what, What::Read(dir.join("libcuda.so.550.1")));
    }
}
