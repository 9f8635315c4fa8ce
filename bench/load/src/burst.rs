//! Many connections at once, each of which says which program made it.
//!
//! The upstream counts what arrives by the name in the path; the record must say the same of the program.

use crate::Failure;
use crate::arguments::Arguments;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

/// Asks `--host` for `/who/NAME/N` on `--count` connections from `--threads` threads, and counts the answers.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let host = arguments.text("host")?;
    let to = (host, 80).to_socket_addrs()?.next().ok_or("the name has no address")?;
    let me = std::env::current_exe()?;
    let name = me.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (count, threads) = (arguments.number("count", 200)?, arguments.number("threads", 2)?);
    let total: Answers = std::thread::scope(|scope| {
        let name = &name;
        let all: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || many(to, host, name, (thread..count).step_by(threads))))
            .collect();
        all.into_iter().filter_map(|thread| thread.join().ok()).fold(Answers::default(), Answers::plus)
    });
    println!(
        "{{\"program\":{name:?},\"admitted\":{},\"refused\":{},\"errors\":{}}}",
        total.0, total.1, total.2
    );
    Ok(())
}

/// Admitted, refused, neither.
#[derive(Default)]
struct Answers(u64, u64, u64);

impl Answers {
    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1, self.2 + other.2)
    }
}

fn many(to: SocketAddr, host: &str, name: &str, numbers: impl Iterator<Item = usize>) -> Answers {
    numbers.fold(Answers::default(), |mut answers, number| {
        match once(to, host, name, number) {
            Ok(200) => answers.0 += 1,
            Ok(403) => answers.1 += 1,
            _ => answers.2 += 1,
        }
        answers
    })
}

fn once(to: SocketAddr, host: &str, name: &str, number: usize) -> Result<u16, Failure> {
    let mut stream = TcpStream::connect(to)?;
    let request = format!("GET /who/{name}/{number} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().parse()?)
}
