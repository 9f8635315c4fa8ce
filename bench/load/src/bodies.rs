//! Large bodies, one after the other on each connection: how many MiB a second.

use crate::Failure;
use crate::arguments::Arguments;
use crate::dial::Target;
use crate::quantiles::Times;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Instant;

/// Reads `--count` bodies on each of `--connections`.
pub async fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let target = Arc::new(Target::read(arguments)?);
    let count = arguments.number("count", 20)?;
    let start = Instant::now();
    let tasks: Vec<_> = (0..arguments.number("connections", 1)?)
        .map(|_| tokio::spawn(read(Arc::clone(&target), count)))
        .collect();
    let (mut times, mut bytes) = (Times::default(), 0);
    for task in tasks {
        match task.await? {
            Ok((seen, read)) => {
                times.merge(seen);
                bytes += read;
            }
            Err(failure) => times.failed(failure),
        }
    }
    let speed = bytes as f64 / start.elapsed().as_secs_f64() / f64::from(1 << 20);
    println!("{}", times.json(&[("mib_per_second", speed)]));
    Ok(())
}

async fn read(target: Arc<Target>, count: usize) -> Result<(Times, u64), Failure> {
    let mut sender = target.http().await?;
    let (mut times, mut bytes) = (Times::default(), 0);
    for _ in 0..count {
        let start = Instant::now();
        sender.ready().await?;
        let response = sender.send_request(target.request()?).await?;
        if !response.status().is_success() {
            return Err(response.status().to_string().into());
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        times.since(start);
    }
    Ok((times, bytes))
}
