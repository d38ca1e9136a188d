//! From JPEG files to verdicts, by payload: images a second, CPU and bytes for each image.
//!
//! `cargo bench -p athena-client --bench end_to_end`; compare the rows of one run. The server shares
//! the process and answers at once; its CPU (TLS, above all) is in the figures, and grows with the
//! bytes. The CPU column needs Linux.

#[path = "support/cpu.rs"]
mod cpu;
#[path = "support/server.rs"]
mod server;

use std::path::PathBuf;
use std::time::Instant;

use athena_client::{Client, Image, Stats};
use athena_imaging::{Compression, PayloadKind, Preprocessor, Subsampling};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use server::Server;

const IMAGES: usize = 200;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime.block_on(Server::start());
    let files = photographs();
    println!("{IMAGES} images from {} JPEG files", files.len());
    println!(
        "{:<28}{:>12}{:>16}{:>14}",
        "payload", "images/s", "CPU ms/image", "bytes/image"
    );
    let brotli = |quality| Compression::Brotli { quality };
    let jpeg = PayloadKind::Jpeg {
        quality: 90,
        subsampling: Subsampling::S444,
    };
    for (name, payload, compression) in [
        ("raw", PayloadKind::RawBgr, Compression::None),
        ("raw, Brotli 1", PayloadKind::RawBgr, brotli(1)),
        ("raw, Brotli 4", PayloadKind::RawBgr, brotli(4)),
        ("PNG", PayloadKind::Png, Compression::None),
        ("WebP, lossless", PayloadKind::default(), Compression::None),
        ("JPEG 90, lossy", jpeg, Compression::None),
    ] {
        let preprocessor = Preprocessor::builder()
            .payload(payload)
            .compression(compression);
        let client = Client::builder()
            .endpoint(server.endpoint())
            .ca_certificate(&server.ca)
            .no_proxy()
            .preprocessor(preprocessor.build().expect("valid settings"))
            .build()
            .expect("a client");
        let (begin, cpu) = (Instant::now(), cpu::time());
        let stats = runtime.block_on(classify(&client, &files));
        let (wall, cpu) = (begin.elapsed(), cpu::time().saturating_sub(cpu));
        println!(
            "{name:<28}{:>12.0}{:>16.1}{:>14}",
            IMAGES as f64 / wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e3 / IMAGES as f64,
            stats.bytes_sent / IMAGES as u64,
        );
    }
}

async fn classify(client: &Client, files: &[Bytes]) -> Stats {
    let images = files.iter().cycle().take(IMAGES).cloned().enumerate();
    let images = images.map(|(number, file)| (number, Image::from_bytes(file)));
    let mut results = client.classify_all(stream::iter(images));
    while let Some((number, result)) = results.next().await {
        assert!(result.is_ok(), "image {number}: {result:?}");
    }
    results.session().stats()
}

/// The project's sample pictures.
fn photographs() -> Vec<Bytes> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/images");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of sample pictures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jpg"))
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("a picture").into())
        .collect()
}
