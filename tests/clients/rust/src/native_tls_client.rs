//! reqwest over the platform's TLS (OpenSSL on Linux).
mod turns;

fn main() {
    let client = reqwest::blocking::Client::builder().use_native_tls().build();
    turns::run(&client.expect("a client with default trust"));
}
