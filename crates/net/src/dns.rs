//! DNS messages on the wire: reads one question, writes one answer.
//!
//! hickory-proto reads and writes the records; this module settles what is accepted at all (one question, class IN,
//! at most 4 KiB) and how the sandbox's resolver speaks. RFC 1035, RFC 6891, RFC 7766.

use creel_types::HostName;
use hickory_proto::op::{DEFAULT_MAX_PAYLOAD_LEN, Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The port.
pub const PORT: u16 = 53;

/// The longest question that is read.
pub const MAX: usize = 4096;

/// Seconds that a program may remember an answer. Addresses are never reused soon, so this only bounds surprise.
pub const TTL: u32 = 60;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The name of an address.
    Ptr(IpAddr),
    /// Anything else, by number.
    Other(u16),
}

/// One question, ready to be answered.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The name in canonical form; `None` when it is not a host name (odd bytes, or the root).
    pub name: Option<HostName>,
    /// The name as asked, for records.
    pub text: String,
    /// What is asked about it.
    pub kind: Kind,
    request: Message,
}

/// What to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// The name of an address.
    Pointer(HostName),
    /// The name exists and has nothing of this type.
    NoData,
    /// There is no such name.
    NoSuchName,
    /// The resolver will not say.
    Refused,
    /// The resolver could not say now.
    Failed,
}

/// Why bytes are not a question that can be answered; when `reply` is there it should be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotAQuestion {
    /// What is wrong.
    pub why: &'static str,
    /// The error reply, absent when even the id could not be read or the bytes are themselves a reply.
    pub reply: Option<Vec<u8>>,
}

/// Reads one question.
pub fn parse(bytes: &[u8]) -> Result<Asked, NotAQuestion> {
    let refuse = |why, code| NotAQuestion { why, reply: error_reply(bytes, code) };
    if bytes.len() > MAX {
        return Err(refuse("question longer than 4 KiB", ResponseCode::FormErr));
    }
    let Ok(request) = Message::from_vec(bytes) else {
        return Err(refuse("malformed message", ResponseCode::FormErr));
    };
    if request.metadata.message_type != MessageType::Query {
        return Err(NotAQuestion { why: "a reply, not a question", reply: None });
    }
    if request.metadata.op_code != OpCode::Query {
        return Err(refuse("not a standard query", ResponseCode::NotImp));
    }
    let [query] = request.queries.as_slice() else {
        return Err(refuse("not exactly one question", ResponseCode::FormErr));
    };
    if query.query_class() != DNSClass::IN {
        return Err(refuse("not the Internet class", ResponseCode::Refused));
    }
    let (name, text, kind) = (canonical(query.name()), query.name().to_string(), kind(query));
    Ok(Asked { name, text, kind, request })
}

/// The header's id with an error code; `None` for what is too short or is itself a reply.
fn error_reply(bytes: &[u8], code: ResponseCode) -> Option<Vec<u8>> {
    let [high, low, flags, ..] = bytes else { return None };
    if bytes.len() < 12 || flags & 0x80 != 0 {
        return None;
    }
    let id = u16::from_be_bytes([*high, *low]);
    Message::error_msg(id, OpCode::Query, code).to_vec().ok()
}

fn canonical(name: &Name) -> Option<HostName> {
    let mut text = String::with_capacity(64);
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(&std::str::from_utf8(label).ok()?.to_ascii_lowercase());
    }
    HostName::new(&text).ok()
}

fn kind(query: &Query) -> Kind {
    match query.query_type() {
        RecordType::A => Kind::A,
        RecordType::AAAA => Kind::Aaaa,
        RecordType::PTR => match query.name().parse_arpa_name() {
            Ok(net) => Kind::Ptr(net.addr()),
            Err(_) => Kind::Other(RecordType::PTR.into()),
        },
        other => Kind::Other(other.into()),
    }
}

/// Writes the answer to a question. An answer that cannot be written becomes a server failure.
pub fn answer(asked: &Asked, answer: &Answer) -> Vec<u8> {
    let request = &asked.request;
    let mut reply = Message::response(request.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = request.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code(answer);
    reply.add_queries(request.queries.iter().cloned());
    if let (Some(query), Some(data)) = (request.queries.first(), data(answer)) {
        reply.add_answer(Record::from_rdata(query.name().clone(), TTL, data));
    }
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(DEFAULT_MAX_PAYLOAD_LEN);
        reply.set_edns(edns);
    }
    reply.to_vec().unwrap_or_else(|_| failure(request.metadata.id))
}

fn code(answer: &Answer) -> ResponseCode {
    match answer {
        Answer::V4(_) | Answer::V6(_) | Answer::Pointer(_) | Answer::NoData => ResponseCode::NoError,
        Answer::NoSuchName => ResponseCode::NXDomain,
        Answer::Refused => ResponseCode::Refused,
        Answer::Failed => ResponseCode::ServFail,
    }
}

fn data(answer: &Answer) -> Option<RData> {
    match answer {
        Answer::V4(addr) => Some(RData::A(A(*addr))),
        Answer::V6(addr) => Some(RData::AAAA(AAAA(*addr))),
        Answer::Pointer(name) => Name::from_ascii(format!("{name}.")).ok().map(|n| RData::PTR(PTR(n))),
        _ => None,
    }
}

fn failure(id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut bytes = vec![high, low, 0x80, ResponseCode::ServFail.low()];
    bytes.extend([0; 8]);
    bytes
}

/// Takes one message off the front of a TCP stream's bytes (two bytes of length, RFC 7766): the message and how many
/// bytes it took. `None` when it is not whole yet.
pub fn unframe(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let [high, low, rest @ ..] = bytes else { return None };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    rest.get(..len).map(|message| (message, 2 + len))
}

/// The message with its length before it, for TCP.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes(), &message[..usize::from(len)]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn question(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.set_edns(Edns::new());
        message.to_vec().unwrap()
    }

    #[test]
    fn questions_are_read_in_canonical_form() {
        for (text, record, name, kind) in [
            ("API.Example.com.", RecordType::A, Some("api.example.com"), Kind::A),
            ("localhost.", RecordType::AAAA, Some("localhost"), Kind::Aaaa),
            ("a.example.", RecordType::TXT, Some("a.example"), Kind::Other(16)),
            ("a.example.", RecordType::HTTPS, Some("a.example"), Kind::Other(65)),
            (".", RecordType::A, None, Kind::A),
            ("1.2.3.4.", RecordType::A, None, Kind::A),
            (
                "5.0.0.28.in-addr.arpa.",
                RecordType::PTR,
                Some("5.0.0.28.in-addr.arpa"),
                Kind::Ptr("28.0.0.5".parse().unwrap()),
            ),
        ] {
            let asked = parse(&question(text, record)).unwrap();
            assert_eq!(asked.name.as_ref().map(HostName::as_str), name, "{text}");
            assert_eq!(asked.kind, kind, "{text}");
        }
    }

    #[test]
    fn answers_repeat_the_question_and_its_case() {
        let asked = parse(&question("API.Example.com.", RecordType::A)).unwrap();
        let bytes = answer(&asked, &Answer::V4(Ipv4Addr::new(28, 0, 0, 1)));
        let reply = Message::from_vec(&bytes).unwrap();
        assert_eq!(reply.metadata.id, asked.request.metadata.id);
        assert_eq!(reply.queries[0].name().to_string(), "API.Example.com.");
        assert_eq!(reply.answers[0].data, RData::A(A(Ipv4Addr::new(28, 0, 0, 1))));
        assert!(reply.edns.is_some());
        for (say, code) in [
            (Answer::NoData, ResponseCode::NoError),
            (Answer::NoSuchName, ResponseCode::NXDomain),
            (Answer::Refused, ResponseCode::Refused),
        ] {
            let reply = Message::from_vec(&answer(&asked, &say)).unwrap();
            assert_eq!((reply.metadata.response_code, reply.answers.len()), (code, 0));
        }
    }

    #[test]
    fn what_is_no_question_gets_an_error_and_a_reply_gets_nothing() {
        let mut two = Message::query();
        two.add_query(Query::query(Name::from_ascii("a.").unwrap(), RecordType::A));
        two.add_query(Query::query(Name::from_ascii("b.").unwrap(), RecordType::A));
        let refused = parse(&two.to_vec().unwrap()).unwrap_err();
        let reply = Message::from_vec(&refused.reply.unwrap()).unwrap();
        assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
        assert_eq!(parse(b"\0\x01").unwrap_err().reply, None);
        let asked = parse(&question("a.", RecordType::A)).unwrap();
        assert_eq!(parse(&answer(&asked, &Answer::NoData)).unwrap_err().reply, None);
    }

    #[test]
    fn frames_come_off_whole_or_not_at_all() {
        let framed = frame(b"hello");
        assert_eq!(unframe(&framed), Some((&b"hello"[..], 7)));
        assert_eq!(unframe(&framed[..6]), None);
        assert_eq!(unframe(&[0]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            if let Ok(asked) = parse(&bytes) {
                answer(&asked, &Answer::V4(Ipv4Addr::LOCALHOST));
            }
        }
    }
}
