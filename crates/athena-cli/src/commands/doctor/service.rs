//! The token, and what the account may do with it.

use std::time::Instant;

use athena_client::{Image, Payload, RAW_FRAME_BYTES};

use super::{Checkup, milliseconds};
use crate::connect::{Connection, Credentials, service_failure};

/// Raw frames that fit into one message of gRPC's usual 4 MiB.
const FRAMES_IN_A_MESSAGE: usize = 6;
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

type Step<T> = Result<T, (&'static str, athena_client::Error)>;

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
    let verdict = client.classify(picture(0)).await;
    let verdict = verdict.map_err(|error| ("affiliate", error))?;
    let labels = verdict.iter().len();
    checkup.ok(
        "affiliate",
        format!("{affiliate} may classify: an answer of {labels} labels"),
    );

    let bytes = FRAMES_IN_A_MESSAGE * RAW_FRAME_BYTES;
    full_message(connection)
        .await
        .map_err(|error| ("message limits", error))?;
    checkup.ok(
        "message limits",
        format!("a message of {bytes} bytes passes, over a stream"),
    );
    Ok(())
}

/// As many raw frames as one message holds, all at once.
async fn full_message(connection: &Connection) -> Result<(), athena_client::Error> {
    let session = connection
        .client
        .session()
        .max_batch(FRAMES_IN_A_MESSAGE)
        .open()?;
    let mut pending = Vec::with_capacity(FRAMES_IN_A_MESSAGE);
    for number in 1..=FRAMES_IN_A_MESSAGE {
        pending.push(session.submit(picture(number)).await?);
    }
    for answer in pending {
        answer.await?;
    }
    // All have been answered: there is nothing to wait for.
    let _ = session.close().await;
    Ok(())
}

/// A colour gradient of the size that the model takes.
fn picture(number: usize) -> Image {
    let pixels = (0..RAW_FRAME_BYTES).map(|at| {
        let (row, column) = (at / 3 / 448, at / 3 % 448);
        match at % 3 {
            0 => (column / 2) as u8,
            1 => (row / 2) as u8,
            _ => (number * 40) as u8,
        }
    });
    Image::from_payload(Payload::raw_bgr(pixels.collect::<Vec<u8>>()))
}
