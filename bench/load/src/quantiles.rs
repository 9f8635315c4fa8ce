//! Collected times, and what is said of them.

use std::time::{Duration, Instant};

/// Times of one measurement.
#[derive(Default)]
pub struct Times {
    nanos: Vec<u64>,
    /// What did not succeed.
    pub errors: u64,
    /// The first failure's words, so that a run that fails says why.
    pub first_error: Option<String>,
}

impl Times {
    /// Notes the time since `start`.
    pub fn since(&mut self, start: Instant) {
        self.add(start.elapsed());
    }

    /// Notes one time.
    pub fn add(&mut self, time: Duration) {
        self.nanos.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Notes a failure.
    pub fn failed(&mut self, why: impl std::fmt::Display) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| why.to_string());
    }

    /// Takes in what another task collected.
    pub fn merge(&mut self, other: Self) {
        self.nanos.extend(other.nanos);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    /// How many times were noted.
    pub fn count(&self) -> usize {
        self.nanos.len()
    }

    /// The median in microseconds; 0 when nothing was noted.
    pub fn median_us(&mut self) -> f64 {
        self.nanos.sort_unstable();
        self.nanos.get(self.nanos.len() / 2).map_or(0.0, |n| *n as f64 / 1e3)
    }

    /// One line of JSON: count, quantiles in microseconds, errors, and what the caller adds.
    pub fn json(mut self, more: &[(&str, f64)]) -> String {
        self.nanos.sort_unstable();
        let at = |share: f64| {
            let last = self.nanos.len().saturating_sub(1);
            self.nanos.get((last as f64 * share).round() as usize).map_or(0.0, |n| *n as f64 / 1e3)
        };
        let mut fields = vec![
            format!("\"count\":{}", self.nanos.len()),
            format!("\"p50_us\":{:.2}", at(0.5)),
            format!("\"p90_us\":{:.2}", at(0.9)),
            format!("\"p99_us\":{:.2}", at(0.99)),
            format!("\"errors\":{}", self.errors),
        ];
        if let Some(error) = &self.first_error {
            fields.push(format!("\"error\":{error:?}"));
        }
        fields.extend(more.iter().map(|(name, value)| format!("\"{name}\":{value:.3}")));
        format!("{{{}}}", fields.join(","))
    }
}
