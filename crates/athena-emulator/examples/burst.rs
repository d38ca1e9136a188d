//! What a burst of raw frames leaves behind in the memory of an emulator in a process of its own, on Linux:
//!
//! ```sh
//! cargo run --release -p athena-emulator --example burst
//! MALLOC_MMAP_THRESHOLD_=1048576 cargo run --release -p athena-emulator --example burst
//! ```

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use athena_emulator::{Emulator, TokenKind};
use athena_proto::classifier_service_client::ClassifierServiceClient;
use athena_proto::{ClassificationInput, ClassifyRequest, ImageFormat};
use tokio_stream::StreamExt;
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

type Error = Box<dyn std::error::Error>;

const FRAME: usize = 448 * 448 * 3;
const STREAMS: usize = 100;
/// As many as fit gRPC's usual message size.
const BATCH: usize = 6;
const BURSTS: usize = 3;
/// Says that this process is the emulator.
const EMULATOR: &str = "emulator";

#[tokio::main]
async fn main() -> Result<(), Error> {
    match std::env::args().nth(1).as_deref() {
        Some(EMULATOR) => emulate().await,
        _ => measure().await,
    }
}

/// Tells where it is, and ends with its standard input.
async fn emulate() -> Result<(), Error> {
    let emulator = Emulator::builder().start().await?;
    let ready = serde_json::json!({
        "endpoint": emulator.endpoint(),
        "ca": emulator.ca_pem(),
        "token": emulator.mint(TokenKind::Valid)?,
    });
    println!("{ready}");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    emulator.shutdown().await;
    Ok(())
}

async fn measure() -> Result<(), Error> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(EMULATOR)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("no output")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let ready: serde_json::Value = serde_json::from_str(&line)?;
    let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    println!("at the start: {}", memory(&child)?);
    for burst in 1..=BURSTS {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(text("ca")));
        let endpoint = Endpoint::from_shared(text("endpoint"))?.tls_config(tls)?;
        let channel = endpoint.connect().await?;
        let token = text("token");
        let streams = (0..STREAMS).map(|number| stream(channel.clone(), &token, number));
        futures_util::future::try_join_all(streams).await?;
        drop(channel);
        println!(
            "burst {burst}, {} frames: {}",
            STREAMS * BATCH,
            memory(&child)?
        );
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("5 s later: {}", memory(&child)?);
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(b"\n")?;
    }
    child.wait()?;
    Ok(())
}

/// Sends one message of raw frames and reads their results.
async fn stream(channel: Channel, token: &str, number: usize) -> Result<(), Error> {
    let data = bytes::Bytes::from(vec![number as u8; FRAME]);
    let inputs = (0..BATCH).map(|n| ClassificationInput {
        affiliate: "emulator".into(),
        correlation_id: n.to_string(),
        format: ImageFormat::RawUint8Bgr.into(),
        data: data.clone(),
        ..Default::default()
    });
    let message = ClassifyRequest {
        deployment_id: number.to_string(),
        inputs: inputs.collect(),
    };
    let mut request = Request::new(tokio_stream::once(message));
    let authorization = format!("Bearer {token}").parse()?;
    request
        .metadata_mut()
        .insert("authorization", authorization);
    let mut responses = ClassifierServiceClient::new(channel)
        .classify(request)
        .await?
        .into_inner();
    while let Some(response) = responses.next().await {
        response?;
    }
    Ok(())
}

/// What a process holds and has held at most.
fn memory(child: &Child) -> Result<String, Error> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let megabytes = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes / 1024)
    };
    let held = megabytes("VmRSS:").ok_or("no figure")?;
    let most = megabytes("VmHWM:").ok_or("no figure")?;
    Ok(format!("{held} MiB, at most {most} MiB so far"))
}
