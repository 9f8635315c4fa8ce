//! To which requests a credential is bound: those of the rules that name it, and no others.
#![allow(missing_docs, clippy::unwrap_used)]
mod support;

use creel_policy::{Connect, Handling, Key, Request, canonical};
use creel_types::Caller;
use support::{caller, connect, policy};

const TEXT: &str = "version: 1
credentials:
  - { name: github, secret: \"env:GITHUB_TOKEN\" }
  - { name: deploy, secret: \"file:/run/secrets/deploy\", env: DEPLOY_TOKEN }
network:
  rules:
    - { name: read, to: [api.com], http: { allow: [\"GET /**\"] }, credential: github }
    - { name: deploy, to: [api.com], from: [/usr/bin/deploy], http: { allow: [\"POST /deploy\"] }, credential: deploy }
    - { name: free, to: [api.com, other.com], http: { allow: [\"POST /free\"] } }
    - { name: plain, to: [plain.com], credential: github }
    - { name: unopened, to: [unopened.com] }
";

#[test]
fn a_credential_says_where_its_secret_is_and_which_variable_has_the_placeholder() {
    let p = policy(TEXT);
    let [github, deploy] = p.credentials() else { panic!("{:?}", p.credentials()) };
    assert_eq!((&*github.name, &*github.variable), ("github", "GITHUB_TOKEN"));
    assert_eq!(github.secret, Key::Env("GITHUB_TOKEN".to_owned()));
    assert_eq!((&*deploy.name, &*deploy.variable), ("deploy", "DEPLOY_TOKEN"));
    assert_eq!(deploy.secret, Key::File("/run/secrets/deploy".into()));
}

#[test]
fn a_credential_is_bound_to_the_requests_of_its_own_rules() {
    let p = policy(TEXT);
    let (deployer, other) = (caller(&["/usr/bin/deploy"]), caller(&["/usr/bin/curl"]));
    for (host, line, caller, bound) in [
        ("api.com", "GET /x", &other, &[0][..]),
        ("api.com", "POST /deploy", &deployer, &[1]),
        ("api.com", "POST /deploy", &other, &[]),
        ("api.com", "POST /deploy", &Caller::UNKNOWN, &[]),
        ("api.com", "POST /free", &deployer, &[]),
        ("other.com", "POST /free", &other, &[]),
        ("plain.com", "PUT /any", &other, &[0]),
        ("elsewhere.com", "GET /x", &other, &[]),
    ] {
        let host = canonical::host(host).unwrap();
        let (method, path) = line.split_once(' ').unwrap();
        let path = canonical::path(path).unwrap();
        let connect = Connect { host: &host, port: 443, caller };
        assert_eq!(p.bound(&Request { connect, method, path: &path }), bound, "{line} to {host}");
    }
}

#[test]
fn where_a_credential_is_put_in_tls_is_opened() {
    let p = policy(TEXT);
    for (host, handling) in [("plain.com", Handling::Inspect), ("unopened.com", Handling::PassThrough)] {
        assert_eq!(connect(&p, host, 443, &Caller::UNKNOWN).unwrap().handling(), handling, "{host}");
    }
}
