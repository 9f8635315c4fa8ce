//! The sandbox's resolver: answers from itself, and asks nobody.
//!
//! Every name has an address here, also one that no rule admits: a refusal is told where it can be read, at the
//! connection, and no label of any question ever leaves.

use crate::exit::Exit;
use crate::identify::Flow;
use crate::record::DnsAsked;
use creel_net::dns::{self, Answer, Asked, Kind};
use creel_net::{Datagrams, Socket};
use creel_types::{Caller, HostName};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A DNS client over TCP that says nothing for so long is let go (RFC 7766 section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);

/// After a failed receive, before the next.
const BREATH: Duration = Duration::from_millis(10);

/// Asked by browsers to learn whether they may resolve elsewhere; that it does not exist says no.
const CANARY: &str = "use-application-dns.net";

impl Exit {
    /// Answers every question that arrives, until the socket breaks.
    pub async fn serve_dns(self: Arc<Self>, socket: OwnedFd) -> io::Result<()> {
        let socket = Datagrams::new(socket)?;
        loop {
            let Ok(question) = socket.receive(dns::MAX).await else {
                tokio::time::sleep(BREATH).await;
                continue;
            };
            let to = SocketAddr::new(question.to, dns::PORT);
            let caller = self.setting.witness.who_asked(question.from, to).unwrap_or_default();
            if let Some(reply) = self.reply(&question.bytes, question.from, &caller) {
                // A client that cannot be answered asks again.
                let _ = socket.answer(&question, &reply).await;
            }
        }
    }

    /// Answers the questions of one TCP connection.
    pub(crate) async fn serve_dns_stream(&self, mut socket: Socket, flow: &Flow) {
        let mut said = Vec::with_capacity(512);
        loop {
            while let Some((message, taken)) = dns::unframe(&said) {
                let Some(reply) = self.reply(message, flow.source, &flow.caller) else { return };
                if socket.write_all(&dns::frame(&reply)).await.is_err() {
                    return;
                }
                said.drain(..taken);
            }
            if said.len() > dns::MAX {
                return;
            }
            match tokio::time::timeout(IDLE, socket.read_buf(&mut said)).await {
                Ok(Ok(n)) if n > 0 => {}
                _ => return,
            }
        }
    }

    fn reply(&self, bytes: &[u8], from: SocketAddr, caller: &Caller) -> Option<Vec<u8>> {
        let asked = match dns::parse(bytes) {
            Ok(asked) => asked,
            Err(not) => return not.reply,
        };
        let mut answer = self.answer_to(&asked);
        let event = DnsAsked {
            caller,
            source: from,
            name: &asked.text,
            kind: &word(asked.kind),
            answered: address(&answer),
            generation: self.setting.policy.generation(),
        };
        if self.setting.record.question(&event).is_err() {
            answer = Answer::Failed;
        }
        Some(dns::answer(&asked, &answer))
    }

    fn answer_to(&self, asked: &Asked) -> Answer {
        if let Kind::Ptr(addr) = asked.kind {
            return self.pointer(addr);
        }
        let Some(name) = asked.name.as_ref().filter(|name| name.as_str() != CANARY) else {
            return Answer::NoSuchName;
        };
        let local = name.as_str() == "localhost" || name.as_str().ends_with(".localhost");
        match (asked.kind, local) {
            (Kind::A, true) => Answer::V4(Ipv4Addr::LOCALHOST),
            (Kind::Aaaa, true) => Answer::V6(Ipv6Addr::LOCALHOST),
            (Kind::A | Kind::Aaaa, false) => match self.names.of(name) {
                Ok(pair) if asked.kind == Kind::A => Answer::V4(pair.v4),
                Ok(pair) => Answer::V6(pair.v6),
                Err(_) => Answer::Failed,
            },
            _ => Answer::NoData,
        }
    }

    fn pointer(&self, addr: IpAddr) -> Answer {
        if addr.is_loopback() {
            return HostName::new("localhost").map_or(Answer::NoSuchName, Answer::Pointer);
        }
        self.names.name(addr).map_or(Answer::NoSuchName, Answer::Pointer)
    }
}

fn address(answer: &Answer) -> Option<IpAddr> {
    match answer {
        Answer::V4(addr) => Some(IpAddr::V4(*addr)),
        Answer::V6(addr) => Some(IpAddr::V6(*addr)),
        _ => None,
    }
}

fn word(kind: Kind) -> std::borrow::Cow<'static, str> {
    match kind {
        Kind::A => "A".into(),
        Kind::Aaaa => "AAAA".into(),
        Kind::Ptr(_) => "PTR".into(),
        Kind::Other(number) => format!("TYPE{number}").into(),
    }
}
