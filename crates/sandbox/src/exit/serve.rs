//! The exit's side: lets go of everything that is the warden's, is confined, and serves.

use super::words::{Entered, Entry, Order, Reply};
use super::{Doors, Ends, Parts, mend};
use crate::message::{self, Inbox};
use crate::models::Ready;
use crate::policies;
use creel_jail::exit::NotConfined;
use creel_kernel::{Named, process};
use creel_policy::Policy;
use creel_proxy::Credentials;
use creel_types::{Generation, Secret};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::io::Interest;

/// When the start is over, and what only it needed can go.
const SETTLED: Duration = Duration::from_secs(1);

/// Becomes the exit: a fresh fork with one thread. Nothing of the warden's is ever put in order here.
pub fn leave_into(parts: Parts, doors: Doors, ends: Ends, warden: u32) -> ! {
    let lived = catch_unwind(AssertUnwindSafe(|| live(parts, doors, ends, warden)));
    process::exit_now(i32::from(!matches!(lived, Ok(Ok(())))))
}

fn live(parts: Parts, doors: Doors, ends: Ends, warden: u32) -> io::Result<()> {
    if let Err(error) = shut(&parts, &doors, &ends, warden) {
        let failed = Reply::Failed { why: error.to_string(), details: Vec::new() };
        return message::send(&ends.orders, &failed, &[]);
    }
    let Ends { orders, events, mend } = ends;
    let parts = Arc::new(parts);
    parts.record.cut_by(mend::asking(mend));
    {
        let parts = Arc::clone(&parts);
        let write = move || parts.write_down(&events);
        thread::Builder::new().name("events".into()).spawn(write)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for listener in doors.tcp {
            tokio::spawn(Arc::clone(&parts.exit).serve_tcp(listener, doors.capture));
        }
        for socket in doors.dns {
            tokio::spawn(Arc::clone(&parts.exit).serve_dns(socket));
        }
        tokio::spawn(async {
            tokio::time::sleep(SETTLED).await;
            // Memory that stays is only wasted.
            let _ = creel_kernel::memory::settle();
        });
        message::send(&orders, &Reply::Serving, &[])?;
        parts.obey(orders).await
    })
}

/// Keeps what it serves with, and is confined.
fn shut(parts: &Parts, doors: &Doors, ends: &Ends, warden: u32) -> Result<(), NotConfined> {
    // Signals of the terminal are for the warden, and the terminal is nobody's here.
    rustix::process::setsid().named("setsid", "")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .named("open", "/dev/null")?;
    (0..3).try_for_each(|number| process::dup_to(null.as_fd(), number))?;
    let own = [ends.orders.as_raw_fd(), ends.events.as_raw_fd(), ends.mend.as_raw_fd()];
    let mut keep: Vec<RawFd> = doors.tcp.iter().chain(&doors.dns).map(AsRawFd::as_raw_fd).collect();
    keep.extend(own);
    keep.push(parts.witness.as_raw_fd());
    keep.extend(parts.record.descriptor());
    std::mem::forget(null);
    process::close_all_but(&keep)?;
    process::name(c"creel-exit")?;
    process::die_with_parent()?;
    if rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs()) != Some(warden) {
        // It died before it could be asked to take this process with it.
        process::exit_now(1);
    }
    creel_jail::exit::confine().map(drop)
}

impl Parts {
    /// Writes down what the warden has for the record.
    fn write_down(&self, events: &UnixStream) {
        let mut inbox = Inbox::default();
        while let Ok(Some(entry)) = inbox.wait::<Entry>(events) {
            let written = match entry {
                Entry::Event(event) => self.scribe.event(&event).map_err(|error| error.0),
                Entry::Nudge => {
                    self.witness.take_in();
                    Ok(())
                }
            };
            if message::send(events, &Entered { written, refusals: self.scribe.refusals() }, &[]).is_err() {
                return;
            }
        }
    }

    /// Obeys until the warden is gone.
    async fn obey(&self, orders: UnixStream) -> io::Result<()> {
        orders.set_nonblocking(true)?;
        let orders = tokio::net::UnixStream::from_std(orders)?;
        let (mut inbox, mut ready) = (Inbox::default(), None);
        while let Some(order) = hear(&orders, &mut inbox).await? {
            let reply = match order {
                Order::Prepare { documents, included, key, credentials } => {
                    match self.prepare(&documents, &included, key) {
                        Ok((policy, models)) => {
                            let held = credentials.into_iter().map(Into::into).collect();
                            ready = Some((policy, models, Credentials::new(held)));
                            Reply::Ready
                        }
                        Err(failed) => failed,
                    }
                }
                Order::Switch(to) => match ready.take() {
                    Some(made) => self.switch(Generation(to), made),
                    None => failed("nothing is ready", &""),
                },
                Order::Count => Reply::Open(self.exit.connections()),
            };
            say(&orders, &reply).await?;
        }
        Ok(())
    }

    fn prepare(
        &self,
        documents: &[creel_api::control::Document],
        included: &[policies::Included],
        key: Option<Vec<u8>>,
    ) -> Result<(Policy, Ready), Reply> {
        let ground = &self.ground;
        let load = |name: &str, base: &std::path::Path| policies::among(included, name, base);
        let on = (&*ground.workspace, &*ground.resolve, ground.links.clone());
        let policy = policies::compile_with(documents, on, &load)
            .map_err(|error| failed("the policy has errors", &error))?;
        let ready = self
            .models
            .prepare(&policy, key.map(Secret::new))
            .map_err(|error| failed("a model backend cannot be used", &error))?;
        Ok((policy, ready))
    }

    fn switch(&self, to: Generation, (policy, ready, credentials): (Policy, Ready, Credentials)) -> Reply {
        self.models.put(ready, to);
        self.cell.swap_with(to, Arc::new(policy), Arc::new(credentials));
        let judged = self.exit.rejudge();
        let line = |cut: &creel_proxy::Cut| match &cut.request {
            Some(request) => format!("cut {request} to {}: {}", cut.to, cut.why),
            None => format!("cut connection {} to {}: {}", cut.connection, cut.to, cut.why),
        };
        Reply::Switched { cut: judged.cut.iter().map(line).collect(), kept: judged.kept }
    }
}

fn failed(why: &str, error: &dyn std::fmt::Display) -> Reply {
    Reply::Failed { why: why.to_owned(), details: error.to_string().lines().map(str::to_owned).collect() }
}

async fn hear(orders: &tokio::net::UnixStream, inbox: &mut Inbox) -> io::Result<Option<Order>> {
    loop {
        if let Some(order) = inbox.next()? {
            return Ok(Some(order));
        }
        orders.readable().await?;
        match orders.try_io(Interest::READABLE, || inbox.fill(orders, false).map_err(io::Error::from)) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

async fn say(orders: &tokio::net::UnixStream, reply: &Reply) -> io::Result<()> {
    let line = message::encode(reply)?;
    let mut rest = &line[..];
    while !rest.is_empty() {
        orders.writable().await?;
        match orders.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
