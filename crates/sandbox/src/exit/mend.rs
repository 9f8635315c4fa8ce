//! The one thing that is done to the record besides appending: after a write that was cut short, the unfinished line is
//! taken off. The exit has no call that could do it, so it asks, and what is done does not depend on what it says: what
//! stands after the last whole line goes, if anything does.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

const ASK: u8 = 1;
const DONE: u8 = 0;
const FAILED: u8 = 1;

/// Serves the exit's wish, until it ends, on a thread of its own: everybody else in the warden may be waiting for the
/// exit.
pub fn serve(mut stream: UnixStream, record: PathBuf) -> io::Result<()> {
    let serve = move || {
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            let done = creel_audit::cut_unfinished_line(&record).is_ok();
            if stream.write_all(&[if done { DONE } else { FAILED }]).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("mend".into()).stack_size(64 * 1024).spawn(serve).map(drop)
}

/// The exit's side.
pub fn asking(stream: UnixStream) -> creel_audit::Cutter {
    let stream = Mutex::new(stream);
    Box::new(move || {
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&[ASK])?;
        let mut answer = [FAILED];
        stream.read_exact(&mut answer)?;
        if answer == [DONE] { Ok(()) } else { Err(io::Error::other("the warden cannot cut the record")) }
    })
}
