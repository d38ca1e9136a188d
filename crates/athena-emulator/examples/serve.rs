//! Runs an emulator until Ctrl-C: `cargo run -p athena-emulator --example serve -- [CONFIG.toml [ENV_FILE]]`.

use std::error::Error;

use athena_emulator::{Config, Emulator};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = std::env::args_os().skip(1);
    let config = arguments
        .next()
        .map_or_else(|| Ok(Config::default()), Config::from_file)?;
    let mut builder = Emulator::builder().config(config);
    if let Some(path) = arguments.next() {
        builder = builder.env_file(path);
    }
    let emulator = builder.start().await?;
    println!("ready at {}", emulator.endpoint());
    tokio::signal::ctrl_c().await?;
    emulator.shutdown().await;
    Ok(())
}
