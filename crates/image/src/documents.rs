//! The JSON that describes an image: OCI image-spec 1.1 and what Docker writes in the same shape.
//!
//! Only what is used is read. A document that is both a list of images and an image is refused: two readers would
//! see two things in it.

use crate::Sha256;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Names some bytes by what they are.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Descriptor {
    pub digest: Sha256,
    pub size: u64,
    #[serde(default)]
    pub platform: Option<Platform>,
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

/// What an image of an index is for.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub variant: Option<String>,
}

/// One image, or a list of them.
#[derive(Debug)]
pub(crate) enum Document {
    Index(Vec<Descriptor>),
    Manifest { config: Descriptor, layers: Vec<Descriptor> },
}

#[derive(Deserialize)]
struct Loose {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

impl Document {
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let loose: Loose = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        match (loose.manifests, loose.config, loose.layers) {
            (Some(manifests), None, None) => Ok(Self::Index(manifests)),
            (None, Some(config), Some(layers)) => Ok(Self::Manifest { config, layers }),
            (Some(_), _, _) => Err("it is an index and an image at once".into()),
            _ => Err("it is neither an index nor an image".into()),
        }
    }
}

/// What an image says about itself.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Config {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default, deserialize_with = "or_default")]
    pub config: Process,
    #[serde(default, deserialize_with = "or_default")]
    pub rootfs: RootFs,
}

/// The layers of an image, lowest first, by the digests of what is in them.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct RootFs {
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Sha256>,
}

/// How an image wants its program run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// `KEY=VALUE` each.
    #[serde(rename = "Env", default, deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// The command's beginning.
    #[serde(rename = "Entrypoint", default, deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// The rest of the command.
    #[serde(rename = "Cmd", default, deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// Where it starts; empty for `/`.
    #[serde(rename = "WorkingDir", default, deserialize_with = "or_default")]
    pub working_dir: String,
    /// Whom it wants to be; kept to be shown.
    #[serde(rename = "User", default, deserialize_with = "or_default")]
    pub user: String,
}

impl Process {
    /// The whole command that the image names.
    pub fn command(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

/// One image of a `docker save` archive.
#[derive(Debug, Deserialize)]
pub(crate) struct Saved {
    #[serde(rename = "Config")]
    pub config: String,
    #[serde(rename = "RepoTags", default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
    #[serde(rename = "Layers")]
    pub layers: Vec<String>,
}

/// Docker writes `null` for what is empty.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_is_two_things_is_refused() {
        let d = format!(r#"{{"digest":"sha256:{}","size":1}}"#, "0".repeat(64));
        let check =
            |text: String, good: bool| assert_eq!(Document::read(text.as_bytes()).is_ok(), good, "{text}");
        check(format!(r#"{{"manifests":[{d}]}}"#), true);
        check(format!(r#"{{"config":{d},"layers":[{d}]}}"#), true);
        check(format!(r#"{{"manifests":[{d}],"config":{d},"layers":[]}}"#), false);
        check(format!(r#"{{"manifests":[{d}],"layers":[]}}"#), false);
        check(format!(r#"{{"config":{d}}}"#), false);
        check("{}".into(), false);
    }

    #[test]
    fn null_is_as_good_as_nothing() {
        let config: Config =
            serde_json::from_str(r#"{"config":{"Env":null,"Cmd":["a"],"User":null}}"#).unwrap();
        assert_eq!(config.config.command(), ["a"]);
        let none: Config = serde_json::from_str(r#"{"config":null}"#).unwrap();
        assert_eq!(none.config, Process::default());
    }
}
