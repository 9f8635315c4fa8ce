//! Requests on kept-alive connections: how many a second, and how long each takes.

use crate::Failure;
use crate::arguments::Arguments;
use crate::dial::Target;
use crate::quantiles::Times;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What one connection saw.
#[derive(Default)]
struct Seen {
    whole: Times,
    first: Times,
    bytes: u64,
}

/// Asks on `--connections` for `--seconds`, after a warm-up of a fifth of that.
pub async fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let target = Arc::new(Target::read(arguments)?);
    let lasting = arguments.seconds("seconds", 2.0)?;
    let tasks: Vec<_> = (0..arguments.number("connections", 32)?)
        .map(|_| tokio::spawn(ask(Arc::clone(&target), lasting)))
        .collect();
    let mut all = Seen::default();
    for task in tasks {
        let seen = task.await?;
        all.whole.merge(seen.whole);
        all.first.merge(seen.first);
        all.bytes += seen.bytes;
    }
    let seconds = lasting.as_secs_f64();
    let rate = all.whole.count() as f64 / seconds;
    let speed = all.bytes as f64 / seconds / f64::from(1 << 20);
    let first = all.first.median_us();
    println!(
        "{}",
        all.whole.json(&[("per_second", rate), ("mib_per_second", speed), ("first_p50_us", first)])
    );
    Ok(())
}

async fn ask(target: Arc<Target>, lasting: Duration) -> Seen {
    let mut seen = Seen::default();
    let warm = Instant::now() + lasting / 5;
    if let Err(failure) = asked(&target, warm, &mut Seen::default()).await {
        seen.whole.failed(failure);
        return seen;
    }
    let until = Instant::now() + lasting;
    if let Err(failure) = asked(&target, until, &mut seen).await {
        seen.whole.failed(failure);
    }
    seen
}

/// Asks on one connection until `until`.
async fn asked(target: &Target, until: Instant, seen: &mut Seen) -> Result<(), Failure> {
    let mut sender = target.http().await?;
    while Instant::now() < until {
        let request = target.request()?;
        let start = Instant::now();
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        let mut first = true;
        while let Some(frame) = body.frame().await {
            if std::mem::take(&mut first) {
                seen.first.since(start);
            }
            seen.bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        if status.is_success() { seen.whole.since(start) } else { seen.whole.failed(status) }
    }
    Ok(())
}
