//! reqwest over rustls with the system's roots (`rustls-native-certs`).
mod turns;

fn main() {
    let mut builder = reqwest::blocking::Client::builder().use_rustls_tls();
    if std::env::args().any(|argument| argument == "--http1") {
        builder = builder.http1_only();
    }
    turns::run(&builder.build().expect("a client with default trust"));
}
