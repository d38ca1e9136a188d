//! An emulator for each test, clients for it, and images whose answers can be told apart.

use std::time::Duration;

use athena_client::auth::OAuthClientCredentials;
use athena_client::{Client, ClientBuilder, Image, Payload, SessionBuilder};
use athena_emulator::{Emulator, EmulatorBuilder};

pub(crate) async fn emulator() -> Emulator {
    start(Emulator::builder()).await
}

pub(crate) async fn start(builder: EmulatorBuilder) -> Emulator {
    builder.start().await.expect("the emulator starts")
}

pub(crate) fn credentials(emulator: &Emulator) -> OAuthClientCredentials {
    OAuthClientCredentials::builder(emulator.client_id(), emulator.client_secret())
        .token_url(emulator.token_url())
        .audience(emulator.audience())
        .ca_certificate(emulator.ca_pem())
        .build()
        .expect("valid credentials")
}

pub(crate) fn builder(emulator: &Emulator) -> ClientBuilder {
    Client::builder()
        .endpoint(emulator.endpoint())
        .token_source(credentials(emulator))
        .affiliate(emulator.affiliate())
        .ca_certificate(emulator.ca_pem())
        .no_proxy()
}

pub(crate) fn client(emulator: &Emulator) -> Client {
    builder(emulator).build().expect("a valid client")
}

/// A session that reconnects and sends again within milliseconds.
pub(crate) fn hasty(client: &Client) -> SessionBuilder {
    client
        .session()
        .reconnect_backoff(Duration::from_millis(5), Duration::from_millis(50))
        .resend_grace(Duration::from_millis(100))
        .no_progress_timeout(Duration::from_millis(500))
        .max_resends(1_000)
}

/// Small as a message can be: a hash to look up. Every third is known to the emulator that
/// [`knows`] was called on, so that an answer that went to the wrong image shows.
pub(crate) fn hash(number: usize) -> Image {
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    Image::from_payload(Payload::hashes_only().md5(digest))
}

pub(crate) fn is_known(number: usize) -> bool {
    number.is_multiple_of(3)
}

pub(crate) fn knows(mut builder: EmulatorBuilder, count: usize) -> EmulatorBuilder {
    for number in (0..count).filter(|number| is_known(*number)) {
        builder = builder.known_hash(format!("{number:016x}{:016x}", 0));
    }
    builder
}

/// A raw frame of one colour.
pub(crate) fn frame(value: u8) -> Image {
    Image::from_payload(Payload::raw_bgr(vec![
        value;
        athena_client::RAW_FRAME_BYTES
    ]))
}

/// A PNG file of some noise, as large as is asked for.
pub(crate) fn png(side: u32) -> Vec<u8> {
    let noise = image::RgbImage::from_fn(side, side, |x, y| {
        let mix = x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503);
        image::Rgb([mix as u8, (mix >> 8) as u8, (mix >> 16) as u8])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    noise
        .write_to(&mut file, image::ImageFormat::Png)
        .expect("memory can be written");
    file.into_inner()
}
