//! What a request says it is for, held against the connection it came on.

use crate::identify::Flow;
use creel_policy::canonical::{self, CanonicalPath};
use creel_types::Host;
use http::header::{HOST, HeaderMap, HeaderValue};
use http::uri::{Authority, Scheme, Uri};
use http::{Method, Request, Version};

/// Why a request cannot be judged, or does not belong here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotHere {
    /// It names another host than the connection was admitted for: 421.
    OtherHost(String),
    /// It has no single reading: 400.
    Unreadable(String),
    /// A method that would make a tunnel, or echo what was sent: refused whatever the rules say.
    Method(&'static str),
}

/// Checks method, authority and framing, and gives the canonical path.
pub(crate) fn read<B>(flow: &Flow, tls: bool, request: &Request<B>) -> Result<CanonicalPath, NotHere> {
    match *request.method() {
        Method::CONNECT => {
            return Err(NotHere::Method("CONNECT would open a tunnel that no rule can see into"));
        }
        Method::TRACE => return Err(NotHere::Method("TRACE would echo credentials back")),
        _ => {}
    }
    canonical::method(request.method().as_str()).map_err(|e| NotHere::Unreadable(e.to_string()))?;
    if let Some(why) = crate::headers::ambiguous_length(request.headers()) {
        return Err(NotHere::Unreadable(why.to_owned()));
    }
    authority(flow, tls, request)?;
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    canonical::path(target).map_err(|e| NotHere::Unreadable(format!("{}: {e}", without_query(target))))
}

/// Every name that the request gives for its host must be the connection's, and there must be one.
fn authority<B>(flow: &Flow, tls: bool, request: &Request<B>) -> Result<(), NotHere> {
    let uri = request.uri();
    if let Some(scheme) = uri.scheme() {
        let expected = if tls { Scheme::HTTPS } else { Scheme::HTTP };
        if *scheme != expected {
            let host = uri.host().unwrap_or_default();
            return Err(NotHere::OtherHost(format!("{scheme}://{host}")));
        }
    }
    let mut named = false;
    if let Some(authority) = uri.authority() {
        same(flow, tls, authority.as_str())?;
        named = true;
    }
    let mut fields = request.headers().get_all(HOST).iter();
    if let Some(field) = fields.next() {
        let text = field.to_str().map_err(|_| NotHere::Unreadable("Host is not text".to_owned()))?;
        same(flow, tls, text)?;
        named = true;
    }
    if fields.next().is_some() {
        return Err(NotHere::Unreadable("Host appears twice".to_owned()));
    }
    // HTTP/1.0 knows no Host; the connection says it.
    if named || request.version() == Version::HTTP_10 {
        return Ok(());
    }
    Err(NotHere::Unreadable("Host is absent".to_owned()))
}

/// The common spelling is compared as it is; any other goes through the one canonical form.
fn same(flow: &Flow, tls: bool, text: &str) -> Result<(), NotHere> {
    let usual = if tls { 443 } else { 80 };
    if let Host::Name(name) = &flow.host
        && flow.port == usual
        && text == name.as_str()
    {
        return Ok(());
    }
    let other = || NotHere::OtherHost(text.to_owned());
    if let Some((_, host)) = text.rsplit_once('@') {
        return Err(NotHere::OtherHost(format!("{host} with a user name before it")));
    }
    let authority: Authority = text.parse().map_err(|_| other())?;
    let port = match authority.port() {
        Some(port) => port.as_str().parse().map_err(|_| other())?,
        // The parser says of a port above 65535, too, that there is none.
        None if matches!(&text[authority.host().len()..], "" | ":") => usual,
        None => return Err(other()),
    };
    let host = canonical::host(authority.host()).map_err(|_| other())?;
    if host == flow.host && port == flow.port { Ok(()) } else { Err(other()) }
}

/// A target as it may be repeated in a refusal: a query may hold what nobody else should read.
fn without_query(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

/// The authority as sent upstream: canonical, with a port only where it is not the usual one.
pub(crate) fn wire_authority(host: &Host, port: u16, tls: bool) -> String {
    match (tls, port) {
        (true, 443) | (false, 80) => host.to_string(),
        _ => format!("{host}:{port}"),
    }
}

/// Puts the canonical target on a request: origin form and `Host` for HTTP/1.1, absolute form for HTTP/2.
pub(crate) fn put(
    uri: &mut Uri,
    headers: &mut HeaderMap,
    path: &CanonicalPath,
    wire: &Wire<'_>,
) -> Result<(), http::Error> {
    if wire.http2 {
        headers.remove(HOST);
        let scheme = if wire.tls { "https" } else { "http" };
        *uri =
            Uri::builder().scheme(scheme).authority(wire.authority).path_and_query(path.as_str()).build()?;
    } else {
        headers.insert(HOST, HeaderValue::from_str(wire.authority)?);
        if uri.scheme().is_some() || uri.path_and_query().map(|p| p.as_str()) != Some(path.as_str()) {
            *uri = Uri::builder().path_and_query(path.as_str()).build()?;
        }
    }
    Ok(())
}

/// How the upstream connection speaks.
pub(crate) struct Wire<'a> {
    pub authority: &'a str,
    pub http2: bool,
    pub tls: bool,
}
