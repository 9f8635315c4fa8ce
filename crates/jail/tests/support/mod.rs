//! Runs a command in a real sandbox, with a warden that lets every call happen and answers nothing from the network.
//!
//! Tests here have no threads, as `jail::start` demands; hence no libtest but a list of sentences.

use creel_api::plan::{Injected, Limits, Place, Plan, Root, What};
use creel_jail::link::{Exit, Link, Order, Report};
use creel_jail::{NetOptions, Started};
use creel_kernel::notify::{Answer, Listener};
use creel_kernel::socket::Family;
use creel_types::Size;
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// A test: what holds, and how it is shown.
pub type Case = (&'static str, fn());

/// Runs the cases whose sentence contains the first argument; speaks enough of libtest for `cargo test` and nextest.
pub fn main(cases: &[Case]) {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|a| a == "--list") {
        if !args.iter().any(|a| a == "--ignored") {
            cases.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return;
    }
    let filter = args.iter().find(|a| !a.starts_with('-')).cloned().unwrap_or_default();
    let mut failed = 0;
    for (name, case) in cases.iter().filter(|(name, _)| name.contains(&filter)) {
        let outcome = std::panic::catch_unwind(case);
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        failed += i32::from(outcome.is_err());
    }
    std::process::exit(failed.min(1));
}

/// A plan that runs a script in `/bin/sh` over the host's system, with nothing granted.
pub fn plan(script: &str) -> Plan {
    Plan {
        tier: creel_api::plan::Tier::Namespaces,
        hostname: "creel-test".into(),
        root: Root::Host,
        places: Vec::new(),
        etc: vec![
            Injected { path: "shadow".into(), bytes: Vec::new(), mode: 0 },
            Injected { path: "creel/marker".into(), bytes: b"here\n".to_vec(), mode: 0o644 },
        ],
        scratch: Size(64 << 20),
        cwd: "/tmp".into(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into())],
        command: ["/bin/sh", "-c", script].map(Into::into).to_vec(),
        terminal: None,
        limits: Limits::default(),
        devices: Vec::new(),
        nested: false,
        out_of_reach: Vec::new(),
    }
}

/// The plan with a grant.
pub fn with(mut plan: Plan, at: &Path, what: What) -> Plan {
    plan.places.push(Place { at: at.to_owned(), what });
    plan
}

/// What a command did.
#[derive(Debug)]
pub struct Done {
    pub output: String,
    pub exit: Option<Exit>,
    pub reports: Vec<Report>,
    pub asked: usize,
    pub executed: Vec<String>,
    pub descriptors: Vec<OwnedFd>,
}

impl Done {
    /// Its exit code; 128 and more for a signal.
    pub fn status(&self) -> i32 {
        self.exit.expect("it ended").status()
    }
}

/// A sandbox under test.
pub struct Sandbox {
    pub started: Started,
    listener: Listener,
    output: OwnedFd,
}

/// Runs the plan to its command's end.
pub fn run(plan: &Plan) -> Done {
    start(plan).go()
}

/// Runs a script over the host's system with nothing granted.
pub fn sh(script: &str) -> Done {
    run(&plan(script))
}

pub fn start(plan: &Plan) -> Sandbox {
    start_with(plan, NetOptions::default())
}

pub fn start_with(plan: &Plan, net: NetOptions) -> Sandbox {
    let null = std::fs::File::open("/dev/null").unwrap();
    let (output, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let stdio = [null.into(), write.try_clone().unwrap(), write];
    let mut started =
        creel_jail::start_with(plan, stdio, net).unwrap_or_else(|e| panic!("{e} ({:?})", e.hint()));
    let stand_in = started.notify.try_clone().unwrap();
    let listener = Listener::new(std::mem::replace(&mut started.notify, stand_in));
    Sandbox { started, listener, output }
}

impl Sandbox {
    pub fn link(&self) -> &Link {
        &self.started.init_link
    }

    /// Says go and serves until the command ends.
    pub fn go(&mut self) -> Done {
        self.link().send(&Order::Go, &[]).unwrap();
        self.serve(|report| matches!(report, Report::Exited { .. }))
    }

    /// Closes the warden's end, as its death would.
    pub fn cut(&mut self) {
        let (other, _) = creel_kernel::scm::pair().unwrap();
        self.started.init_link = Link::from(other);
    }

    /// Serves until a report is the last one that is waited for.
    pub fn serve(&mut self, last: impl Fn(&Report) -> bool) -> Done {
        let mut done = Done {
            output: String::new(),
            exit: None,
            reports: Vec::new(),
            asked: 0,
            executed: Vec::new(),
            descriptors: Vec::new(),
        };
        let end = Instant::now() + Duration::from_secs(20);
        let mut over = false;
        while !over {
            assert!(Instant::now() < end, "nothing more happened: {done:?}");
            self.wait();
            self.listen(&mut done);
            while let Some((report, fds)) = self.link().recv().unwrap_or_else(|e| panic!("{e}: {done:?}")) {
                if let Report::Exited { exit, .. } = report {
                    done.exit = Some(exit);
                }
                done.descriptors.extend(fds);
                over |= last(&report);
                done.reports.push(report);
            }
        }
        self.read(&mut done);
        done
    }

    fn wait(&self) {
        let mut fds = [
            PollFd::new(self.link(), PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
            PollFd::new(&self.output, PollFlags::IN),
        ];
        let soon = rustix::event::Timespec { tv_sec: 0, tv_nsec: 200_000 };
        rustix::event::poll(&mut fds, Some(&soon)).unwrap();
        // A hung-up pipe is always ready; the others set the pace.
        if fds[0].revents().is_empty() && fds[1].revents().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn listen(&mut self, done: &mut Done) {
        self.read(done);
        self.proxy();
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        while rustix::event::poll(&mut fds, Some(&now)).unwrap() > 0
            && fds[0].revents().contains(PollFlags::IN)
        {
            if let Some(call) = self.listener.next().unwrap() {
                done.asked += 1;
                if i64::from(call.number) == libc::SYS_execve {
                    done.executed.push(path_of(&call));
                }
                let _ = self.listener.answer(&call, Answer::Continue);
            }
        }
    }

    /// Stands in for the proxy and the name server: tells where a connection was going, answers every question.
    fn proxy(&self) {
        for (listener, family) in self.started.tcp.iter().zip([Family::V4, Family::V6]) {
            while let Ok((connection, _)) = rustix::net::acceptfrom(listener) {
                let stream = std::net::TcpStream::from(connection);
                let destination = if self.started.redirect {
                    creel_kernel::socket::original_destination(&stream, family).unwrap()
                } else {
                    stream.local_addr().unwrap()
                };
                let _ = std::io::Write::write_all(&mut &stream, destination.to_string().as_bytes());
            }
        }
        for socket in &self.started.dns {
            let socket = std::net::UdpSocket::from(socket.try_clone().unwrap());
            while let Ok((_, from)) = socket.recv_from(&mut [0; 512]) {
                socket.send_to(b"answer", from).unwrap();
            }
        }
    }

    fn read(&self, done: &mut Done) {
        let mut buffer = [0; 65536];
        let mut fds = [PollFd::new(&self.output, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        while rustix::event::poll(&mut fds, Some(&now)).unwrap() > 0 {
            match rustix::io::read(self.output.as_fd(), &mut buffer) {
                Ok(length) if length > 0 => done.output += &String::from_utf8_lossy(&buffer[..length]),
                _ => break,
            }
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.started.init, rustix::process::Signal::KILL);
        let pid = rustix::process::Pid::from_raw(self.started.pid as i32);
        let _ = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
    }
}

/// A new empty directory.
pub fn tempdir() -> std::path::PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("creel-jail-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir(&dir).unwrap();
    dir
}

/// The path that a caller of `execve` means.
fn path_of(call: &creel_kernel::notify::Call) -> String {
    let mut buffer = [0; 256];
    match creel_kernel::notify::read_memory(call.thread, call.args[0], &mut buffer) {
        Ok(length) => {
            let text = &buffer[..length];
            String::from_utf8_lossy(text.split(|&b| b == 0).next().unwrap_or_default()).into_owned()
        }
        Err(e) => e.to_string(),
    }
}
