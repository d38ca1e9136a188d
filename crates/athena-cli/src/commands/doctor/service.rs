//! The token, and what the account may do with it.

use std::time::Instant;

use athena_client::{
    Error, ErrorKind, Image, ImageFormat, Payload, RAW_FRAME_BYTES, RequestEncoding,
};
use athena_outcome::text::sdk_error;

use super::{Checkup, milliseconds};
use crate::connect::{Connection, Credentials, service_failure};

/// Raw frames that fit into one message of gRPC's usual 4 MiB.
const FRAMES_IN_A_MESSAGE: usize = 6;
/// Side of a frame in pixels.
const SIDE: usize = 448;
/// Calls whose median is the round-trip time.
const CALLS: usize = 5;

pub(super) async fn token(connection: &Connection, checkup: &mut Checkup) -> bool {
    match connection.access.token().await {
        Ok(token) => {
            let lifetime = token.lifetime().map(|lifetime| lifetime.as_secs());
            let lifetime = lifetime.map_or("without end".to_owned(), |s| format!("for {s} s"));
            let audience = match &connection.access.credentials {
                Credentials::Client { audience, .. } => format!(", audience {audience}"),
                Credentials::Token => String::new(),
            };
            checkup.ok("token", format!("valid {lifetime}{audience}"));
            true
        }
        Err(failure) => {
            checkup.fail("token", &failure);
            false
        }
    }
}

/// Permissions, round-trip time and message limits.
pub(super) async fn examine(connection: &Connection, checkup: &mut Checkup) {
    if let Err((step, error)) = steps(connection, checkup).await {
        checkup.fail(step, &service_failure(&error, &connection.target));
    }
}

type Step<T> = Result<T, (&'static str, Error)>;

async fn steps(connection: &Connection, checkup: &mut Checkup) -> Step<()> {
    let client = &connection.client;
    let list = || async {
        let listed = client.list_deployments().await;
        listed.map_err(|error| ("permissions", error))
    };
    let deployments = list().await?.len();
    checkup.ok(
        "permissions",
        format!("may list deployments: there are {deployments}"),
    );
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let started = Instant::now();
        list().await?;
        times.push(started.elapsed());
    }
    times.sort();
    let median = milliseconds(times[CALLS / 2]);
    checkup.ok(
        "round trip",
        format!("{median}, the median of {CALLS} calls"),
    );

    let affiliate = &connection.target.affiliate;
    // As small as most images are: whether large ones pass is the next step's question.
    let verdict = client.classify(Image::from_bytes(file())).await;
    let verdict = verdict.map_err(|error| ("affiliate", error))?;
    let labels = verdict.iter().len();
    checkup.ok(
        "affiliate",
        format!("{affiliate} may classify: an answer of {labels} labels"),
    );

    let even_one = !frames_pass(connection)
        .await
        .map_err(|error| ("message limits", error))?;
    let bytes = FRAMES_IN_A_MESSAGE * RAW_FRAME_BYTES;
    let refusal = full_message(connection)
        .await
        .map_err(|error| ("message limits", error))?;
    match refusal {
        None => checkup.ok(
            "message limits",
            format!("a message of {bytes} bytes passes, and raw frames over a stream"),
        ),
        Some(error) => checkup.warn(
            "message limits",
            format!("no message of {bytes} bytes passes: {}", sdk_error(&error)),
            match even_one {
                true => "leave --payload at webp, or choose png or jpeg-90: raw frames are larger",
                false => {
                    "batches are made as small when the limit is met: set max_message_bytes of the SDK to it, or \
                     send smaller batches from another client"
                }
            },
        ),
    }
    Ok(())
}

/// Whether raw frames pass over a stream, which makes of them what messages the service takes.
async fn frames_pass(connection: &Connection) -> Result<bool, Error> {
    let session = connection.client.session().open()?;
    let mut pending = Vec::with_capacity(FRAMES_IN_A_MESSAGE);
    for number in 1..=FRAMES_IN_A_MESSAGE {
        pending.push(session.submit(picture(number)).await?);
    }
    let mut pass = true;
    for answer in pending {
        match answer.await {
            Err(error) if error.kind() == ErrorKind::TooLarge => pass = false,
            answered => drop(answered?),
        }
    }
    // All have been answered: there is nothing to wait for.
    let _ = session.close().await;
    Ok(pass)
}

/// Sends a picture with so much behind it that a message can usually hold no more, in a call that cannot
/// be split. Gives the service's word if the size is refused.
async fn full_message(connection: &Connection) -> Result<Option<Error>, Error> {
    let mut padded = file();
    padded.resize(FRAMES_IN_A_MESSAGE * RAW_FRAME_BYTES, 0);
    let payload = Payload::new(ImageFormat::Ppm, RequestEncoding::Uncompressed, padded);
    match connection
        .client
        .classify(Image::from_payload(payload))
        .await
    {
        // What is said of the image was said after the message had passed.
        Err(error) if error.is_of_image() => Ok(None),
        Err(error) if error.kind() == ErrorKind::TooLarge => Ok(Some(error)),
        Err(error) => Err(error),
        Ok(_) => Ok(None),
    }
}

/// A colour gradient of the size that the model takes, as its pixels.
fn pixels(number: usize) -> impl Iterator<Item = u8> {
    (0..RAW_FRAME_BYTES).map(move |at| {
        let (row, column) = (at / 3 / SIDE, at / 3 % SIDE);
        match at % 3 {
            0 => (column / 2) as u8,
            1 => (row / 2) as u8,
            _ => (number * 40) as u8,
        }
    })
}

/// One that is sent as it is.
fn picture(number: usize) -> Image {
    Image::from_payload(Payload::raw_bgr(pixels(number).collect::<Vec<u8>>()))
}

/// One as a file: a portable pixmap.
fn file() -> Vec<u8> {
    let mut file = format!("P6 {SIDE} {SIDE} 255\n").into_bytes();
    file.extend(pixels(0));
    file
}
