//! What one `connect` costs the program that calls it.

use crate::Failure;
use crate::arguments::Arguments;
use crate::quantiles::Times;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Instant;

/// Connects `--count` times to `--to`, with `--gap` seconds between; only `connect` itself is timed.
pub fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let to = arguments.text("to")?.to_socket_addrs()?.next().ok_or("the name has no address")?;
    let gap = arguments.seconds("gap", 0.0003)?;
    let mut times = Times::default();
    for _ in 0..arguments.number("count", 1000)? {
        let start = Instant::now();
        match TcpStream::connect(to) {
            Ok(_) => times.since(start),
            Err(failure) => times.failed(failure),
        }
        std::thread::sleep(gap);
    }
    println!("{}", times.json(&[]));
    Ok(())
}
