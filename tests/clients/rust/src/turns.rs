//! The frame of both Rust clients: reads `OP=URL` arguments, prints one JSON line for each.

use reqwest::blocking::Client;
use serde_json::{json, Value};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::time::Instant;

fn why(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        words.push_str(" <- ");
        words.push_str(&next.to_string());
        cause = next.source();
    }
    words
}

fn perform(client: &Client, op: &str, url: &str, payload: &[u8]) -> Result<Value, reqwest::Error> {
    let request = match op {
        "POST" => client.post(url).body(payload.to_vec()),
        _ => client.get(url),
    };
    let answer = request.send()?;
    let status = answer.status().as_u16();
    let protocol = format!("{:?}", answer.version()).trim_end_matches(".0").to_owned();
    let kind = answer.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = answer.bytes()?;
    let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut told =
        json!({"status": status, "protocol": protocol, "type": kind, "length": body.len(), "sha256": digest});
    if status >= 400 {
        told["said"] = String::from_utf8_lossy(&body).into_owned().into();
    }
    Ok(told)
}

/// Performs every turn named on the command line with one client.
pub fn run(client: &Client) {
    let payload = std::fs::read(std::env::var("PAYLOAD").expect("PAYLOAD names a file"))
        .expect("the payload is readable");
    for argument in std::env::args().skip(1) {
        let Some((op, url)) = argument.split_once('=') else { continue };
        let started = Instant::now();
        let mut told =
            perform(client, op, url, &payload).unwrap_or_else(|error| json!({"error": why(&error)}));
        told["op"] = op.into();
        told["url"] = url.into();
        told["ms"] = (started.elapsed().as_micros() as f64 / 1000.0).into();
        println!("{told}");
    }
}
