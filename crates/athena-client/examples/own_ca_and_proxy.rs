//! A network with a CA of its own and a proxy: both the service and the token endpoint are reached
//! through them.
//!
//! `cargo run -p athena-client --example own_ca_and_proxy -- CA.pem http://proxy.internal:3128`

use std::error::Error;

use athena_client::ClientBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(ca), Some(proxy)) = (arguments.next(), arguments.next()) else {
        return Err("usage: own_ca_and_proxy CA.pem http://PROXY:PORT".into());
    };
    // Said once: the token endpoint is reached in the same way.
    let client = ClientBuilder::from_env()?
        .ca_certificate(std::fs::read(ca)?)
        .proxy(proxy)
        .build()?;

    let deployments = client.list_deployments().await?;
    println!("connected; {} deployments", deployments.len());
    Ok(())
}
