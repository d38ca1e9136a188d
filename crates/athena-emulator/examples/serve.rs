//! Runs an emulator until it is told to stop: `cargo run -p athena-emulator --example serve -- [CONFIG.toml] [ENV_FILE]`.

use std::error::Error;

use athena_emulator::{Config, Emulator, Ports};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = std::env::args_os().skip(1);
    let config = match arguments.next() {
        Some(path) if !path.is_empty() => Config::from_file(path)?,
        _ => Config::default(),
    };
    let fixed = config.ports == Ports::FREE;
    let mut builder = Emulator::builder().config(config);
    if fixed {
        builder = builder.ports(Ports::FIXED);
    }
    if let Some(path) = arguments.next() {
        builder = builder.env_file(path);
    }
    let emulator = builder.start().await?;
    println!("ready at {}", emulator.endpoint());
    athena_emulator::terminated().await?;
    emulator.shutdown().await;
    Ok(())
}
