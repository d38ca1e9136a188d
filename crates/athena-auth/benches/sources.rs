//! What a thousand tenants' sources cost: `max alloc` is what all of them hold together, before and
//! after each has made the HTTP client for its first request. The roots of trust, which they share,
//! are read beforehand.
//!
//! `cargo bench -p athena-auth --bench sources`

use std::io::{Read, Write};
use std::net::TcpListener;

use athena_auth::{OAuthClientCredentials, TokenSource};
use divan::{AllocProfiler, Bencher};
use tokio::runtime::Runtime;

const TENANTS: usize = 1_000;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// With an authority of its own or none.
fn source(port: u16, authority: Option<&str>) -> OAuthClientCredentials {
    let builder = OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url(format!("http://localhost:{port}/oauth/token"))
        .audience("an-api");
    let builder = match authority {
        Some(pem) => builder.ca_certificate(pem),
        None => builder,
    };
    builder.build().expect("good settings")
}

/// An endpoint that refuses everybody, which ends a call at once.
fn endpoint() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a connection");
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n");
        }
    });
    port
}

fn authority() -> String {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("a certificate").pem()
}

fn ask_once(runtime: &Runtime, source: &OAuthClientCredentials) {
    let refused = runtime.block_on(source.token());
    assert!(refused.is_err());
}

#[divan::bench(args = [false, true], sample_count = 5, sample_size = 1)]
fn built(bencher: Bencher<'_, '_>, own_authority: bool) {
    let (port, pem) = (9, own_authority.then(authority));
    bencher.bench(|| -> Vec<_> { (0..TENANTS).map(|_| source(port, pem.as_deref())).collect() });
}

#[divan::bench(args = [false, true], sample_count = 5, sample_size = 1)]
fn after_a_request(bencher: Bencher<'_, '_>, own_authority: bool) {
    let (port, pem) = (endpoint(), own_authority.then(authority));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let first = source(port, pem.as_deref());
    ask_once(&runtime, &first);
    bencher.bench_local(|| -> Vec<_> {
        let sources: Vec<_> = (0..TENANTS).map(|_| source(port, pem.as_deref())).collect();
        for source in &sources {
            ask_once(&runtime, source);
        }
        sources
    });
}
