//! Fetches the results that wait for processes that are gone: of one deployment, or of every one
//! that has a backlog.
//!
//! `cargo run -p athena-client --example collect_backlog [DEPLOYMENT]`. Only name deployments whose
//! processes are gone: results go to one stream only.

use std::error::Error;
use std::time::Duration;

use athena_client::Client;
use futures_util::StreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::from_env()?;
    let Some(deployment) = std::env::args().nth(1) else {
        for deployment in client.list_deployments().await? {
            println!("{}\t{} waiting", deployment.id, deployment.backlog);
        }
        return Ok(());
    };
    let mut results = std::pin::pin!(client.collect(deployment, Duration::from_secs(5))?);
    while let Some(result) = results.next().await {
        let waiting = result?;
        match waiting.result {
            Ok(verdict) => println!("{}\t{:?}", waiting.correlation_id, verdict.pcsam()),
            Err(error) => println!("{}\t{error}", waiting.correlation_id),
        }
    }
    Ok(())
}
