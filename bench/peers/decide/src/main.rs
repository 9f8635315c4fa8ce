//! The peers' decision of one question, an exact host from one program, as rules grow.
//!
//! Prints `name, rules, compile ms, ns a decision`, separated by tabs.

mod cedar;
mod rego;

use std::time::{Duration, Instant};

/// Anything that ends the measurement.
type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    for count in [10, 100, 1_000, 10_000] {
        print("Cedar", count, cedar::measure(count)?);
        print("regorus", count, rego::measure(count)?);
    }
    Ok(())
}

/// What one size cost.
struct Cost {
    compile: Duration,
    decision: Duration,
}

fn print(name: &str, count: usize, cost: Cost) {
    let nanos = cost.decision.as_nanos();
    println!("{name}\t{count}\t{:.1}\t{nanos}", cost.compile.as_secs_f64() * 1e3);
}

/// The mean of as many decisions as half a second holds, after one that is not counted.
fn mean(mut decide: impl FnMut() -> Result<bool, Failure>) -> Result<Duration, Failure> {
    if !decide()? {
        return Err("the peer refused what its rules allow".into());
    }
    let (start, mut rounds) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(500) {
        decide()?;
        rounds += 1;
    }
    Ok(start.elapsed() / rounds)
}
