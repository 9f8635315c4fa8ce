//! The usual way to learn who connects: the socket's inode from `/proc/net/tcp`, then every process's descriptors.

use crate::Failure;
use crate::arguments::Arguments;
use crate::quantiles::Times;
use std::fs;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Instant;

/// Connects `--count` times to `--to`, and times how long it takes to find this process as the connection's owner.
pub fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let to = arguments.text("to")?.to_socket_addrs()?.next().ok_or("the name has no address")?;
    let mut times = Times::default();
    for _ in 0..arguments.number("count", 50)? {
        let stream = TcpStream::connect(to)?;
        let local = stream.local_addr()?;
        let start = Instant::now();
        if owner(local) == Some(std::process::id()) { times.since(start) } else { times.failed("not found") }
    }
    println!("{}", times.json(&[]));
    Ok(())
}

fn owner(local: SocketAddr) -> Option<u32> {
    let link = format!("socket:[{}]", inode(local)?);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid| holds(*pid, &link))
}

fn inode(local: SocketAddr) -> Option<String> {
    let port = format!(":{:04X}", local.port());
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let line =
        table.lines().find(|line| line.split_whitespace().nth(1).is_some_and(|at| at.ends_with(&port)))?;
    line.split_whitespace().nth(9).map(str::to_owned)
}

fn holds(pid: u32, link: &str) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.into_iter().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == link))
}
