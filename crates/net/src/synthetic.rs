//! Addresses that stand for names inside one sandbox.
//!
//! The sandbox's resolver answers every name with an address of its own, so that a connection leads back to exactly
//! the name that was asked for, before anything is resolved outside. The ranges are public on paper and silent in
//! practice (28.0.0.0/8 is not announced; 3ffe::/16 was the 6bone's and was returned): programs guard themselves
//! against private and reserved ranges, and must not refuse these.
//!
//! A name's address is not given to another name when the name is forgotten, until all 2^24 have had their turn: a
//! program that remembers an old answer finds nobody there, and never somebody else.

use creel_types::HostName;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names remembered at once.
pub const NAMES: usize = 65_536;

const FIRST: u32 = 1;
const LAST: u32 = (1 << 24) - 2;

/// The map of one sandbox. Cheap to clone; clones share the map.
#[derive(Debug, Clone, Default)]
pub struct Synthetic(Arc<Mutex<Map>>);

#[derive(Debug)]
struct Map {
    by_name: HashMap<HostName, u32>,
    by_number: HashMap<u32, Entry>,
    /// Oldest first; an entry that was used since it was queued gets a second turn.
    turn: VecDeque<u32>,
    next: u32,
    most: usize,
}

#[derive(Debug)]
struct Entry {
    name: HostName,
    used: bool,
    live: usize,
}

impl Default for Map {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            by_number: HashMap::new(),
            turn: VecDeque::new(),
            next: FIRST,
            most: NAMES,
        }
    }
}

/// Both addresses of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// In 28.0.0.0/8.
    pub v4: Ipv4Addr,
    /// In 3ffe::/16.
    pub v6: Ipv6Addr,
}

/// Keeps a name in the map while a connection to it lives.
#[derive(Debug)]
pub struct Held {
    name: HostName,
    number: u32,
    map: Synthetic,
}

impl Held {
    /// The name.
    pub fn name(&self) -> &HostName {
        &self.name
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(entry) = self.map.lock().by_number.get_mut(&self.number) {
            entry.live = entry.live.saturating_sub(1);
        }
    }
}

/// Every name in the map has a live connection, and there are [`NAMES`] of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{NAMES} names with live connections; no address is left for another")]
pub struct Exhausted;

impl Synthetic {
    /// The addresses of `name`, made on first asking.
    pub fn of(&self, name: &HostName) -> Result<Pair, Exhausted> {
        let mut map = self.lock();
        if let Some(&number) = map.by_name.get(name) {
            if let Some(entry) = map.by_number.get_mut(&number) {
                entry.used = true;
            }
            return Ok(pair(number));
        }
        if map.by_number.len() >= map.most {
            map.forget_one()?;
        }
        let number = map.fresh();
        map.by_name.insert(name.clone(), number);
        map.by_number.insert(number, Entry { name: name.clone(), used: false, live: 0 });
        map.turn.push_back(number);
        Ok(pair(number))
    }

    /// The name that `addr` stands for, without keeping it.
    pub fn name(&self, addr: IpAddr) -> Option<HostName> {
        self.lock().by_number.get(&number(addr)?).map(|entry| entry.name.clone())
    }

    /// The name that `addr` stands for, kept until the answer is dropped.
    pub fn hold(&self, addr: IpAddr) -> Option<Held> {
        let number = number(addr)?;
        let mut map = self.lock();
        let entry = map.by_number.get_mut(&number)?;
        entry.live += 1;
        entry.used = true;
        let name = entry.name.clone();
        drop(map);
        Some(Held { name, number, map: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an address is in one of the ranges, whether or not it stands for a name now.
pub fn is_synthetic(addr: IpAddr) -> bool {
    match addr.to_canonical() {
        IpAddr::V4(v4) => v4.octets()[0] == 28,
        IpAddr::V6(v6) => v6.segments()[0] == 0x3ffe,
    }
}

impl Map {
    fn forget_one(&mut self) -> Result<(), Exhausted> {
        // Two rounds: the first may only take back second turns.
        for _ in 0..2 * self.turn.len() {
            let Some(number) = self.turn.pop_front() else { break };
            match self.by_number.get_mut(&number) {
                Some(entry) if entry.live > 0 => self.turn.push_back(number),
                Some(entry) if entry.used => {
                    entry.used = false;
                    self.turn.push_back(number);
                }
                Some(_) => {
                    if let Some(entry) = self.by_number.remove(&number) {
                        self.by_name.remove(&entry.name);
                    }
                    return Ok(());
                }
                None => {}
            }
        }
        Err(Exhausted)
    }

    /// The next number that stands for nothing; there are 256 times more numbers than names.
    fn fresh(&mut self) -> u32 {
        loop {
            let number = self.next;
            self.next = if number == LAST { FIRST } else { number + 1 };
            if !self.by_number.contains_key(&number) {
                return number;
            }
        }
    }
}

fn pair(number: u32) -> Pair {
    let [_, a, b, c] = number.to_be_bytes();
    let (high, low) = (u16::from(a), u16::from_be_bytes([b, c]));
    Pair { v4: Ipv4Addr::new(28, a, b, c), v6: Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, high, low) }
}

fn number(addr: IpAddr) -> Option<u32> {
    match addr.to_canonical() {
        IpAddr::V4(v4) => match v4.octets() {
            [28, a, b, c] => Some(u32::from_be_bytes([0, a, b, c])),
            _ => None,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0x3ffe, 0, 0, 0, 0, 0, high @ 0..=0xff, low] => Some(u32::from(high) << 16 | u32::from(low)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> HostName {
        HostName::new(&format!("h{n}.example")).unwrap()
    }

    fn small(most: usize) -> Synthetic {
        Synthetic(Arc::new(Mutex::new(Map { most, ..Map::default() })))
    }

    #[test]
    fn an_address_leads_back_to_its_name_and_nowhere_else() {
        let map = Synthetic::default();
        let one = map.of(&name(1)).unwrap();
        let two = map.of(&name(2)).unwrap();
        assert_ne!(one, two);
        assert_eq!(map.of(&name(1)), Ok(one));
        for addr in [IpAddr::V4(one.v4), IpAddr::V6(one.v6), IpAddr::V6(one.v4.to_ipv6_mapped())] {
            assert!(is_synthetic(addr));
            assert_eq!(map.name(addr), Some(name(1)));
        }
        assert_eq!(map.name("28.9.9.9".parse().unwrap()), None);
        assert_eq!(map.name("3ffe:1::1".parse().unwrap()), None);
        assert_eq!(map.name("10.0.0.1".parse().unwrap()), None);
    }

    #[test]
    fn the_oldest_unused_name_goes_and_its_address_is_not_reused() {
        let map = small(3);
        let first = map.of(&name(0)).unwrap();
        let pairs: Vec<_> = (1..3).map(|n| map.of(&name(n)).unwrap()).collect();
        map.of(&name(0)).unwrap();
        let new = map.of(&name(3)).unwrap();
        assert!(!pairs.contains(&new) && new != first);
        assert_eq!(map.name(first.v4.into()), Some(name(0)), "it was used since");
        assert_eq!(map.name(pairs[0].v4.into()), None, "it was the oldest unused");
    }

    #[test]
    fn a_name_with_a_live_connection_is_never_forgotten() {
        let map = small(2);
        let live = map.of(&name(0)).unwrap();
        let held = map.hold(live.v4.into()).unwrap();
        for n in 1..50 {
            map.of(&name(n)).unwrap();
        }
        assert_eq!(map.name(live.v6.into()), Some(name(0)));
        let last = map.of(&name(49)).unwrap();
        let also = map.hold(last.v6.into()).unwrap();
        assert_eq!(map.of(&name(50)), Err(Exhausted));
        drop((held, also));
        assert!(map.of(&name(50)).is_ok());
    }
}
