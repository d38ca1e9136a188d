//! Classifies one file: `cargo run -p examples --bin classify_one -- examples/images/lakeside.jpg`
//!
//! Runs against a local emulator, so that it works without an account. For the real service,
//! `Client::from_env()` takes the place of the builder.

use athena_client::{Client, Image, auth::OAuthClientCredentials};
use athena_emulator::Emulator;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os()
        .nth(1)
        .ok_or("usage: classify_one FILE")?;
    let athena = Emulator::builder().start().await?;

    let credentials = OAuthClientCredentials::builder(athena.client_id(), athena.client_secret())
        .token_url(athena.token_url())
        .audience(athena.audience())
        .ca_certificate(athena.ca_pem())
        .build()?;
    let client = Client::builder()
        .endpoint(athena.endpoint())
        .ca_certificate(athena.ca_pem())
        .token_source(credentials)
        .affiliate(athena.affiliate())
        .build()?;

    let verdict = client.classify(Image::from_path(file).await?).await?;
    for (label, weight) in verdict.iter() {
        println!("{weight:.4}  {label}");
    }
    println!("known content: {}", verdict.known_match());
    athena.shutdown().await;
    Ok(())
}
