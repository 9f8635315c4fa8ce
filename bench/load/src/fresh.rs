//! New connections: TCP, TLS and one request each, then closed.

use crate::Failure;
use crate::arguments::Arguments;
use crate::dial::Target;
use crate::quantiles::Times;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Opens connections in `--connections` tasks for `--seconds`.
pub async fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let target = Arc::new(Target::read(arguments)?);
    let lasting = arguments.seconds("seconds", 2.0)?;
    let tasks: Vec<_> = (0..arguments.number("connections", 32)?)
        .map(|_| tokio::spawn(open_and_ask(Arc::clone(&target), lasting)))
        .collect();
    let mut all = Times::default();
    for task in tasks {
        all.merge(task.await?);
    }
    let rate = all.count() as f64 / lasting.as_secs_f64();
    println!("{}", all.json(&[("per_second", rate)]));
    Ok(())
}

async fn open_and_ask(target: Arc<Target>, lasting: Duration) -> Times {
    let mut times = Times::default();
    let until = Instant::now() + lasting;
    while Instant::now() < until {
        let start = Instant::now();
        match once(&target).await {
            Ok(()) => times.since(start),
            Err(failure) => times.failed(failure),
        }
    }
    times
}

async fn once(target: &Target) -> Result<(), Failure> {
    let mut sender = target.http().await?;
    let response = sender.send_request(target.request()?).await?;
    if !response.status().is_success() {
        return Err(response.status().to_string().into());
    }
    response.into_body().collect().await?;
    Ok(())
}
