//! A sandbox's own certificate authority.
//!
//! Made when the sandbox starts and gone with it; its key exists in the warden's memory alone. Every leaf shares one
//! key, because making a key costs more than signing a certificate and the same process holds them all anyway.

use creel_types::Host;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{CipherSuite, ServerConfig};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Names whose certificates are kept; the oldest goes first. A miss costs about 30 µs.
pub const CACHED: usize = 1024;

/// Suites with a key of 128 bits and SHA-256.
const SHORT: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LEAF_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const LEAF_REMINT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// An authority could not be made, or could not vouch for a host.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Making a key or a certificate.
    #[error("making {what}: {cause}")]
    Certificate {
        /// What was being made.
        what: &'static str,
        /// Why it could not be.
        #[source]
        cause: rcgen::Error,
    },
    /// Setting up TLS with it.
    #[error("setting up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

fn making(what: &'static str) -> impl FnOnce(rcgen::Error) -> AuthorityError {
    move |cause| AuthorityError::Certificate { what, cause }
}

/// What an intercepted client may speak over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocols {
    /// HTTP/2 or HTTP/1.1, as the client prefers to offer.
    Http,
    /// HTTP/1.1 alone.
    Http1,
}

/// Vouches for any host, to programs that trust it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_pem: String,
    leaf_key: KeyPair,
    leaf_signer: Arc<dyn SigningKey>,
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
    serial: AtomicU64,
    serial_prefix: [u8; 8],
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    known: HashMap<(Host, Protocols), Kept>,
    order: VecDeque<(Host, Protocols)>,
}

struct Kept {
    config: Arc<ServerConfig>,
    minted: SystemTime,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A new authority whose certificate names `label` (a sandbox's name), valid from yesterday for ten years.
    pub fn new(label: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making("the authority's key"))?;
        let params = root_params(label)?;
        let root = params.self_signed(&key).map_err(making("the authority's certificate"))?;
        let leaf_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making("the leaf key"))?;
        let der = PrivatePkcs8KeyDer::from(leaf_key.serialize_der()).into();
        let mut prefix = [0; 8];
        let secure = aws_lc_rs::default_provider().secure_random;
        secure.fill(&mut prefix).map_err(|_| rustls::Error::FailedToGetRandomBytes)?;
        prefix[0] = prefix[0] & 0x3f | 0x40; // Positive and never shortened (RFC 5280 section 4.1.2.2).
        Ok(Self {
            root: root.der().clone(),
            root_pem: root.pem(),
            issuer: Issuer::new(params, key),
            leaf_signer: aws_lc_rs::sign::any_ecdsa_type(&der)?,
            leaf_key,
            provider: Arc::new(inside_provider()),
            tickets: aws_lc_rs::Ticketer::new()?,
            serial: AtomicU64::new(1),
            serial_prefix: prefix,
            cache: Mutex::default(),
        })
    }

    /// The authority's certificate, for the sandbox's trust stores.
    pub fn pem(&self) -> &str {
        &self.root_pem
    }

    /// The same certificate as DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// A server configuration that is `host` to the client.
    ///
    /// Session tickets are shared by all of them; rustls resumes a session only for the name it was made with.
    pub fn server(&self, host: &Host, protocols: Protocols) -> Result<Arc<ServerConfig>, AuthorityError> {
        let key = (host.clone(), protocols);
        let now = SystemTime::now();
        if let Some(kept) = self.cache().known.get(&key)
            && now.duration_since(kept.minted).is_ok_and(|age| age < LEAF_REMINT)
        {
            return Ok(Arc::clone(&kept.config));
        }
        let config = Arc::new(self.configure(host, protocols)?);
        self.cache().keep(key, Kept { config: Arc::clone(&config), minted: now });
        Ok(config)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn configure(&self, host: &Host, protocols: Protocols) -> Result<ServerConfig, AuthorityError> {
        let chain = vec![self.mint(host)?];
        let key = Arc::new(CertifiedKey::new(chain, Arc::clone(&self.leaf_signer)));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(key)));
        config.alpn_protocols = match protocols {
            Protocols::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Protocols::Http1 => vec![b"http/1.1".to_vec()],
        };
        config.ticketer = Arc::clone(&self.tickets);
        // Ours is the order that fits a connection within one machine; the client says what it has.
        config.ignore_client_order = true;
        config.send_tls13_tickets = 1;
        // Stateless tickets only: a session cache for each name would be memory for nothing.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(config)
    }

    fn mint(&self, host: &Host) -> Result<CertificateDer<'static>, AuthorityError> {
        let mut params = CertificateParams::default();
        let text = host.to_string();
        params.subject_alt_names = vec![match host {
            Host::Name(_) => SanType::DnsName(text.as_str().try_into().map_err(making("a host's name"))?),
            Host::Addr(addr) => SanType::IpAddress(*addr),
        }];
        params.distinguished_name = DistinguishedName::new();
        // A common name holds 64 characters (RFC 5280 appendix A.1); clients read the alternative name.
        params.distinguished_name.push(DnType::CommonName, text.get(..64).unwrap_or(&text));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        // One key in all leaves would give one serial to all, which NSS refuses.
        params.serial_number = Some(self.next_serial());
        let now = SystemTime::now();
        params.not_before = (now - DAY).into();
        params.not_after = (now + LEAF_LIFE).into();
        let leaf = params.signed_by(&self.leaf_key, &self.issuer).map_err(making("a leaf certificate"))?;
        Ok(leaf.der().clone())
    }

    fn next_serial(&self) -> SerialNumber {
        let mut serial = self.serial_prefix.to_vec();
        serial.extend(self.serial.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        SerialNumber::from(serial)
    }
}

impl Cache {
    fn keep(&mut self, key: (Host, Protocols), kept: Kept) {
        if self.known.insert(key.clone(), kept).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > CACHED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn root_params(label: &str) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Creel");
    let name = format!("Creel sandbox {label}");
    params.distinguished_name.push(DnType::CommonName, name.get(..64).unwrap_or(&name));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + ROOT_LIFE).into();
    Ok(params)
}

/// The agent and the warden share a machine, so a post-quantum exchange between them, or 256 bits where 128 do, would
/// only cost time: SHA-384, which comes with the longer key, was a tenth of a handshake's work.
fn inside_provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !SHORT.contains(&suite.suite()));
    provider.kx_groups = vec![
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
        aws_lc_rs::kx_group::SECP384R1,
        aws_lc_rs::kx_group::X25519MLKEM768,
    ];
    provider
}

/// The host was decided before the handshake, so the certificate does not depend on what the client says in it.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use creel_types::HostName;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};

    fn vouched_for(authority: &Authority, host: &Host, asked: &str) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let leaf = authority.mint(host).unwrap();
        let name = ServerName::try_from(asked.to_owned()).unwrap();
        verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now()).map(|_| ())
    }

    #[test]
    fn a_leaf_is_good_for_its_host_and_no_other() {
        let authority = Authority::new("test").unwrap();
        let name = Host::Name(HostName::new("api.example.com").unwrap());
        vouched_for(&authority, &name, "api.example.com").unwrap();
        assert!(vouched_for(&authority, &name, "example.com").is_err());
        let long = format!("{}.example.com", ["a"; 60].join("."));
        vouched_for(&authority, &Host::Name(HostName::new(&long).unwrap()), &long).unwrap();
        for addr in ["192.0.2.7", "2001:db8::7"] {
            vouched_for(&authority, &Host::Addr(addr.parse().unwrap()), addr).unwrap();
        }
    }

    /// OpenSSL's strict reading of RFC 5280 is what Python applies by default since 3.13.
    #[test]
    fn the_strict_reader_takes_root_and_leaf() {
        let authority = Authority::new("a-sandbox").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (root, leaf) = (dir.path().join("root.pem"), dir.path().join("leaf.pem"));
        std::fs::write(&root, authority.pem()).unwrap();
        for host in [
            Host::Name(HostName::new("api.example.com").unwrap()),
            Host::Addr("2001:db8::1".parse().unwrap()),
        ] {
            std::fs::write(&leaf, crate::bundle::pem(None, &[authority.mint(&host).unwrap()])).unwrap();
            let run = std::process::Command::new("openssl")
                .args(["verify", "-x509_strict", "-CAfile"])
                .args([&root, &leaf])
                .output();
            // Without OpenSSL on the machine there is nobody to ask.
            let Ok(run) = run else { return };
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        }
    }

    #[test]
    fn configurations_are_kept_and_bounded() {
        let authority = Authority::new("test").unwrap();
        let host = |n: usize| Host::Name(HostName::new(&format!("h{n}.example")).unwrap());
        let first = authority.server(&host(0), Protocols::Http).unwrap();
        assert!(Arc::ptr_eq(&first, &authority.server(&host(0), Protocols::Http).unwrap()));
        for n in 1..=CACHED {
            authority.server(&host(n), Protocols::Http).unwrap();
        }
        assert_eq!(authority.cache().known.len(), CACHED);
        assert!(!Arc::ptr_eq(&first, &authority.server(&host(0), Protocols::Http).unwrap()));
    }
}
