//! Connections that are held open while bytes drip in, to see whom a change of policy cuts, when, and that the
//! others lose nothing.
//!
//! A line on standard input ends all of them from this side; what each saw is printed then.

use crate::Failure;
use crate::arguments::Arguments;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// The byte that stands at `position` of every stream.
pub fn byte_at(position: u64) -> u8 {
    u8::try_from(position % 251).unwrap_or_default()
}

/// Holds `--connections` to `--keep`, and one after the other to `--cut`; prints a line for each event there.
pub async fn hold(arguments: &Arguments) -> Result<(), Failure> {
    let (stop, stopped) = watch::channel(false);
    let keep = arguments.text("keep")?;
    let kept: Vec<_> = (0..arguments.number("connections", 100)?)
        .map(|_| tokio::spawn(read(keep.to_owned(), stopped.clone())))
        .collect();
    let cut = arguments.text("cut")?.to_owned();
    let cutting = tokio::spawn(async move { be_cut(&cut).await });
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    cutting.abort();
    stop.send(true)?;
    let (mut bytes, mut broken) = (0, 0);
    for task in kept {
        match task.await? {
            Ok(read) => bytes += read,
            Err(_) => broken += 1,
        }
    }
    println!("{{\"kept_bytes\":{bytes},\"broken\":{broken}}}");
    Ok(())
}

/// Connects again and again, and says on the clock of the machine when a connection was there and when it was cut.
async fn be_cut(to: &str) {
    loop {
        let Ok(mut stream) = TcpStream::connect(to).await else { continue };
        let mut buffer = [0; 4096];
        let mut open = false;
        let _ = stream.write_all(b"c").await;
        while let Ok(1..) = stream.read(&mut buffer).await {
            if !std::mem::replace(&mut open, true) {
                println!("open {}", monotonic());
            }
        }
        if open {
            println!("cut {}", monotonic());
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Reads one stream to its end; an end that this side did not ask for, or a wrong byte, is an error.
async fn read(to: String, mut stopped: watch::Receiver<bool>) -> Result<u64, Failure> {
    let mut stream = TcpStream::connect(&to).await?;
    let (mut position, mut buffer, mut asked) = (0, vec![0; 1 << 16], false);
    loop {
        tokio::select! {
            got = stream.read(&mut buffer) => match got? {
                0 if asked => return Ok(position),
                0 => return Err("cut".into()),
                n => {
                    let right = buffer[..n].iter().zip(position..).all(|(byte, at)| *byte == byte_at(at));
                    if !right { return Err("a byte is wrong".into()); }
                    position += n as u64;
                }
            },
            _ = stopped.changed(), if !asked => {
                asked = true;
                stream.shutdown().await?;
            }
        }
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`, which is the same on both sides of the sandbox.
fn monotonic() -> u128 {
    // The standard library's Instant is this clock, but does not show its value; /proc/uptime is too coarse.
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u128 * 1_000_000_000 + now.tv_nsec as u128
}
