//! The load generator and the upstream of the measurements: one program, so that every peer is asked by the same
//! client and answered by the same server.
//!
//! `load VERB --option value ...`; a measurement prints one line of JSON.

mod arguments;
mod bodies;
mod burst;
mod certificates;
mod connects;
mod dial;
mod drip;
mod fresh;
mod quantiles;
mod requests;
mod scan;
mod server;
mod upstream;

use arguments::Arguments;
use std::process::ExitCode;

/// Anything that ends a measurement.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let verb = words.next().unwrap_or_default();
    match Arguments::read(words).and_then(|arguments| run(&verb, &arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("load {verb}: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &str, arguments: &Arguments) -> Result<(), Failure> {
    // Those without a runtime measure the bare system call.
    match verb {
        "certificates" => return certificates::write(arguments),
        "connects" => return connects::measure(arguments),
        "burst" => return burst::run(arguments),
        "scan" => return scan::measure(arguments),
        _ => {}
    }
    let threads = arguments.number("threads", 2)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        match verb {
            "serve" => server::serve(arguments).await,
            "requests" => requests::measure(arguments).await,
            "fresh" => fresh::measure(arguments).await,
            "bodies" => bodies::measure(arguments).await,
            "drip" => drip::hold(arguments).await,
            other => Err(format!("no verb `{other}`").into()),
        }
    })
}
