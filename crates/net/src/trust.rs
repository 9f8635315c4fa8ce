//! Whom the outside world's servers must be vouched for by.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, OnceLock};

use creel_types::Host;

/// An authority given by the operator could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not PEM, or no certificate in it.
    #[error("no certificate in {name}: {why}")]
    NotPem {
        /// Where the text came from.
        name: String,
        /// What the reader said.
        why: String,
    },
    /// A certificate that cannot be a root.
    #[error("the certificate in {name} cannot be trusted as an authority: {cause}")]
    NotRoot {
        /// Where the text came from.
        name: String,
        /// Why not.
        #[source]
        cause: rustls::Error,
    },
    /// TLS could not be set up.
    #[error("setting up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// The roots: the machine's own, else the ones compiled in, and those the operator added.
///
/// The machine's roots are read on first need (about 2 ms and 0.5 MiB), so a sandbox that never opens TLS does not
/// pay for them.
#[derive(Debug, Default)]
pub struct Trust {
    extra: Vec<CertificateDer<'static>>,
    only_extra: bool,
    clients: OnceLock<Clients>,
}

#[derive(Debug, Clone)]
struct Clients {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Trust {
    /// The usual roots and the authorities in these PEM texts, each with the name to use in errors.
    pub fn new(extra: &[(String, Vec<u8>)]) -> Result<Self, TrustError> {
        Ok(Self { extra: read_all(extra)?, ..Self::default() })
    }

    /// These authorities and no others.
    pub fn only(extra: &[(String, Vec<u8>)]) -> Result<Self, TrustError> {
        Ok(Self { extra: read_all(extra)?, only_extra: true, ..Self::default() })
    }

    /// The authorities that were added, to be trusted inside as well.
    pub fn extra(&self) -> &[CertificateDer<'static>] {
        &self.extra
    }

    /// The client configuration that offers HTTP/2 as well as HTTP/1.1 when `http2`, and HTTP/1.1 alone otherwise.
    /// Sessions are resumed across connections.
    pub fn client(&self, http2: bool) -> Result<Arc<ClientConfig>, TrustError> {
        let clients = match self.clients.get() {
            Some(clients) => clients,
            None => {
                let made = self.configure()?;
                self.clients.get_or_init(|| made)
            }
        };
        Ok(Arc::clone(if http2 { &clients.http2 } else { &clients.http1 }))
    }

    fn configure(&self) -> Result<Clients, TrustError> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = Arc::new(config.clone());
        config.alpn_protocols.insert(0, b"h2".to_vec());
        // A session belongs to what was negotiated in it, so the two do not share a store.
        config.resumption = rustls::client::Resumption::in_memory_sessions(256);
        Ok(Clients { http1, http2: Arc::new(config) })
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        if !self.only_extra {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
        roots.add_parsable_certificates(self.extra.iter().cloned());
        roots
    }
}

/// The name that a server must prove to own, for a connection to `host`.
pub fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned()).ok(),
        Host::Addr(addr) => Some(ServerName::from(*addr)),
    }
}

fn read_all(texts: &[(String, Vec<u8>)]) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let mut all = Vec::new();
    for (name, pem) in texts {
        let found = read(name, pem)?;
        for certificate in &found {
            let root = RootCertStore::empty().add(certificate.clone());
            root.map_err(|cause| TrustError::NotRoot { name: name.clone(), cause })?;
        }
        all.extend(found);
    }
    Ok(all)
}

fn read(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let not_pem = |why: String| TrustError::NotPem { name: name.to_owned(), why };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(not_pem("no CERTIFICATE section".to_owned())),
        Ok(found) => Ok(found),
        Err(why) => Err(not_pem(why.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Authority;

    #[test]
    fn an_added_authority_must_be_one() {
        let pem = Authority::new("x").unwrap().pem().as_bytes().to_vec();
        assert_eq!(Trust::new(&[("x.pem".into(), pem)]).unwrap().extra().len(), 1);
        let none = Trust::new(&[("y.pem".into(), b"hello".to_vec())]).unwrap_err();
        assert_eq!(none.to_string(), "no certificate in y.pem: no CERTIFICATE section");
    }

    #[test]
    fn roots_are_read_once() {
        let trust = Trust::default();
        assert!(Arc::ptr_eq(&trust.client(true).unwrap(), &trust.client(true).unwrap()));
        assert_eq!(trust.client(false).unwrap().alpn_protocols, [b"http/1.1"]);
    }
}
