//! Rules for the packet filter (`nf_tables`), as one atomic batch over netlink: no library, no `nft` program.
//!
//! Only what a sandbox needs: an `inet` table, base chains, and nine expressions. Numbers are those of
//! `linux/netfilter/nf_tables.h`.

use crate::SysError;
use crate::netlink::{ACK, APPEND, CREATE, Message, Netlink, REQUEST};
use std::net::IpAddr;

const SUBSYSTEM: u16 = 10 << 8;
const INET: u8 = 1;
const REGISTER: u32 = 1;
const VERDICT_REGISTER: u32 = 0;

/// Where a chain hooks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Before routing of what arrives.
    Prerouting = 0,
    /// What this namespace sends.
    Output = 3,
}

/// A base chain.
#[derive(Debug, Clone, Copy)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// Its hook.
    pub hook: Hook,
    /// Its priority among chains of the hook.
    pub priority: i32,
    /// Whether what no rule decides is accepted.
    pub accepts: bool,
}

/// A rule: matches, then an action.
#[derive(Debug, Clone, Default)]
pub struct Rule(Message);

impl Rule {
    /// A rule that matches everything so far.
    pub fn any() -> Self {
        Self::default()
    }

    fn expression(self, name: &str, body: Message) -> Self {
        let expression = Message::attributes().put_str(1, name).nest(2, &body);
        Self(self.0.nest(1, &expression))
    }

    fn load_meta(self, key: u32) -> Self {
        self.expression("meta", Message::attributes().put_be32(1, REGISTER).put_be32(2, key))
    }

    fn load_payload(self, base: u32, offset: u32, length: u32) -> Self {
        let body = Message::attributes()
            .put_be32(1, REGISTER)
            .put_be32(2, base)
            .put_be32(3, offset)
            .put_be32(4, length);
        self.expression("payload", body)
    }

    fn equals(self, value: &[u8]) -> Self {
        let data = Message::attributes().put(1, value);
        let body = Message::attributes().put_be32(1, REGISTER).put_be32(2, 0).nest(3, &data);
        self.expression("cmp", body)
    }

    fn immediate(self, value: &[u8]) -> Self {
        let data = Message::attributes().put(1, value);
        self.expression("immediate", Message::attributes().put_be32(1, REGISTER).nest(2, &data))
    }

    fn verdict(self, code: i32) -> Self {
        let verdict = Message::attributes().put_be32(1, code.cast_unsigned());
        let data = Message::attributes().nest(2, &verdict);
        self.expression("immediate", Message::attributes().put_be32(1, VERDICT_REGISTER).nest(2, &data))
    }

    /// Matches a transport protocol (`meta l4proto`).
    pub fn protocol(self, number: u8) -> Self {
        self.load_meta(16).equals(&[number])
    }

    /// Matches the destination port of TCP or UDP.
    pub fn port(self, port: u16) -> Self {
        self.load_payload(2, 2, 2).equals(&port.to_be_bytes())
    }

    /// Matches the destination address by its first `bytes` bytes.
    pub fn to(self, address: IpAddr, bytes: u8) -> Self {
        let (family, offset, octets) = match address {
            IpAddr::V4(v4) => (2, 16, v4.octets().to_vec()),
            IpAddr::V6(v6) => (10, 24, v6.octets().to_vec()),
        };
        let length = usize::from(bytes).min(octets.len());
        self.load_meta(15).equals(&[family]).load_payload(1, offset, length as u32).equals(&octets[..length])
    }

    /// Accepts.
    pub fn accept(self) -> Self {
        self.verdict(1)
    }

    /// Leaves this chain with its policy.
    pub fn done(self) -> Self {
        self.verdict(-5)
    }

    /// Hands the packet to the socket that listens on `port` with `IP_TRANSPARENT`.
    pub fn tproxy(self, port: u16) -> Self {
        let rule = self.immediate(&port.to_be_bytes());
        rule.expression("tproxy", Message::attributes().put_be32(1, 0).put_be32(3, REGISTER)).accept()
    }

    /// Rewrites the destination to this machine's `port` (`nat` chains only).
    pub fn redirect(self, port: u16) -> Self {
        let rule = self.immediate(&port.to_be_bytes());
        rule.expression("redir", Message::attributes().put_be32(1, REGISTER).put_be32(2, REGISTER))
    }

    /// Refuses with "administratively prohibited", so that the sender learns at once.
    pub fn reject(self) -> Self {
        self.expression("reject", Message::attributes().put_be32(1, 2).put(2, &[3]))
    }
}

/// A table with its chains and rules, sent whole or not at all.
#[derive(Debug)]
pub struct Batch {
    table: &'static str,
    messages: Vec<Message>,
}

impl Batch {
    /// A new table.
    pub fn table(table: &'static str) -> Self {
        let begin = Message::new(16, REQUEST, &[0, 0, 0, 10]);
        let make = request(0, CREATE).put_str(1, table);
        Self { table, messages: vec![begin, make] }
    }

    /// A chain of the table, with its rules in order.
    pub fn chain(mut self, chain: Chain, rules: Vec<Rule>) -> Self {
        let hook =
            Message::attributes().put_be32(1, chain.hook as u32).put_be32(2, chain.priority.cast_unsigned());
        self.messages.push(
            request(3, CREATE)
                .put_str(1, self.table)
                .put_str(3, chain.name)
                .nest(4, &hook)
                .put_be32(5, u32::from(chain.accepts))
                .put_str(7, chain.kind),
        );
        for rule in rules {
            let message = request(6, CREATE | APPEND).put_str(1, self.table).put_str(2, chain.name);
            self.messages.push(message.nest(4, &rule.0));
        }
        self
    }

    /// Sends the batch.
    pub fn commit(mut self) -> Result<(), SysError> {
        self.messages.push(Message::new(17, REQUEST, &[0, 0, 0, 10]));
        Netlink::netfilter()?.transact(self.messages, self.table)
    }
}

fn request(operation: u16, flags: u16) -> Message {
    Message::new(SUBSYSTEM | operation, REQUEST | ACK | flags, &[INET, 0, 0, 0])
}
