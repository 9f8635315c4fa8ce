//! The OCSF objects that are used, each with the attributes that OCSF requires and those that we know.

use super::Source;
use crate::event::{Event, Parent, Program};
use serde::Serialize;
use serde_json::value::RawValue;

/// The version of OCSF whose names are used.
const OCSF_VERSION: &str = "1.6.0";

pub(super) const PRODUCT: &str = "Creel";

/// Without the line's number, see [`super::Frame`].

#[derive(Serialize)]
pub(super) struct Metadata<'a> {
    pub(super) version: &'static str,
    pub(super) product: Product<'a>,
    pub(super) profiles: &'static [&'static str],
    pub(super) log_name: &'static str,
}

#[derive(Serialize)]
pub(super) struct Product<'a> {
    pub(super) name: &'static str,
    pub(super) vendor_name: &'static str,
    pub(super) version: &'a str,
}

/// The sandbox, as the virtual device that it is to the agent.
#[derive(Serialize)]
pub(super) struct Device<'a> {
    pub(super) type_id: u8,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
}

/// Who acted: a process, or Creel itself when no process is known.
#[derive(Serialize)]
pub(super) struct Actor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<Doer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app_name: Option<&'a str>,
}

/// A process, as an object or written out already.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Doer<'a> {
    Process(Process<'a>),
    Written(&'a RawValue),
}

#[derive(Serialize)]
pub(crate) struct Process<'a> {
    pub(super) pid: u32,
    pub(super) name: &'a str,
    pub(super) file: File<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cmd_line: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) working_directory: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_process: Option<Box<Self>>,
}

#[derive(Serialize)]
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    pub(super) path: &'a str,
    pub(super) type_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hashes: Option<[Fingerprint; 1]>,
}

#[derive(Serialize)]
pub(super) struct Fingerprint {
    pub(super) algorithm_id: u8,
    pub(super) value: String,
}

#[derive(Serialize)]
pub(super) struct App<'a> {
    pub(super) name: &'static str,
    pub(super) vendor_name: &'static str,
    pub(super) version: &'a str,
    pub(super) uid: &'a str,
}

#[derive(Serialize)]
pub(super) struct Api<'a> {
    pub(super) operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<Named<'a>>,
}

#[derive(Serialize)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
}

#[derive(Default, Serialize)]
pub(super) struct Endpoint<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
}

#[derive(Serialize)]
pub(super) struct ConnectionInfo {
    /// 2: outbound.
    pub(super) direction_id: u8,
    pub(super) protocol_num: u8,
    pub(super) protocol_name: &'static str,
}

#[derive(Serialize)]
pub(super) struct Traffic {
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes: u64,
}

#[derive(Serialize)]
pub(super) struct HttpRequest<'a> {
    pub(super) http_method: &'a str,
    pub(super) url: Url<'a>,
}

#[derive(Serialize)]
pub(super) struct Url<'a> {
    pub(super) scheme: &'static str,
    pub(super) hostname: &'a str,
    pub(super) port: u16,
    pub(super) path: &'a str,
}

#[derive(Serialize)]
pub(super) struct HttpResponse {
    pub(super) code: u16,
}

#[derive(Serialize)]
pub(super) struct Query<'a> {
    pub(super) hostname: &'a str,
    #[serde(rename = "type")]
    pub(super) query_type: &'a str,
}

#[derive(Serialize)]
pub(super) struct Answer {
    pub(super) rdata: String,
}

#[derive(Serialize)]
pub(super) struct FindingInfo<'a> {
    pub(super) title: &'a str,
    pub(super) uid: String,
    pub(super) desc: &'a str,
}

#[derive(Serialize)]
pub(super) struct Rule<'a> {
    pub(super) name: &'a str,
}

impl<'a> Metadata<'a> {
    pub(super) fn of(source: &Source<'a>) -> Self {
        Self {
            version: OCSF_VERSION,
            product: Product { name: PRODUCT, vendor_name: PRODUCT, version: source.version },
            profiles: &["host", "security_control"],
            log_name: "creel-record",
        }
    }
}

impl<'a> Device<'a> {
    pub(super) fn of(source: &Source<'a>) -> Self {
        // 6: virtual.
        Self { type_id: 6, name: source.name, uid: source.id }
    }
}

impl<'a> Process<'a> {
    /// A program and its nearest parent; the others are in `unmapped.creel`.
    pub(crate) fn of(program: &'a Program) -> Self {
        Self {
            pid: program.pid,
            name: program.file_name(),
            file: File::of(&program.path, program.digest.map(|digest| digest.to_string())),
            cmd_line: None,
            working_directory: None,
            parent_process: program.parents.first().map(|parent| Box::new(Self::of_parent(parent))),
        }
    }

    pub(super) fn of_parent(parent: &'a Parent) -> Self {
        let file = File::of(&parent.path, parent.digest.map(|digest| digest.to_string()));
        let name = file.name;
        Self { pid: parent.pid, name, file, cmd_line: None, working_directory: None, parent_process: None }
    }
}

impl<'a> File<'a> {
    fn of(path: &'a str, sha256: Option<String>) -> Self {
        Self {
            name: path.rsplit('/').next().unwrap_or(path),
            path,
            type_id: 1,
            hashes: sha256.map(|value| [Fingerprint { algorithm_id: 3, value }]),
        }
    }
}

impl<'a> Actor<'a> {
    /// The event's program, or Creel when none is known: OCSF wants one of them.
    pub(super) fn of(event: &'a Event) -> Self {
        let written = event.actor().and_then(|actor| actor.process()).map(Doer::Written);
        let process = written.or_else(|| event.program().map(|program| Doer::Process(Process::of(program))));
        let app_name = process.is_none().then_some("creel");
        Self { process, app_name }
    }
}

impl<'a> Endpoint<'a> {
    /// A host that is a name, or an address in the way URLs write it.
    pub(super) fn of(host: &'a str, port: Option<u16>) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<std::net::IpAddr>() {
            Ok(addr) => Self { ip: Some(addr.to_string()), port, ..Self::default() },
            Err(_) => Self { hostname: Some(host), port, ..Self::default() },
        }
    }
}
