//! Slow links and slow services: whatever they carry in time becomes verdicts.

use std::time::Duration;

use athena_client::{Client, Image, ImageFormat, Payload, RequestEncoding};
use futures_util::{StreamExt, stream};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint, Server, Uri};

use crate::relay::{Mode, Relay};
use crate::script::{Play, Script};
use crate::support::{builder, emulator, frame, hash};

/// Carries so many bytes a second to the service, on the test's clock, and holds few of its own.
fn link(script: &Script, rate: u32) -> Channel {
    let (open, opened) = mpsc::unbounded_channel();
    let service =
        athena_proto::classifier_service_server::ClassifierServiceServer::new(script.clone());
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(UnboundedReceiverStream::new(opened)),
    );
    let connector = tower::service_fn(move |_: Uri| {
        let (client, near) = tokio::io::duplex(16 << 10);
        let (far, server) = tokio::io::duplex(16 << 10);
        tokio::spawn(carry(near, far, rate));
        let opened = open.send(std::io::Result::Ok(server));
        async move {
            opened.map_err(std::io::Error::other)?;
            std::io::Result::Ok(TokioIo::new(client))
        }
    });
    Endpoint::from_static("http://link.invalid").connect_with_connector_lazy(connector)
}

async fn carry(near: DuplexStream, far: DuplexStream, rate: u32) {
    let (mut from_client, mut to_client) = tokio::io::split(near);
    let (mut from_service, mut to_service) = tokio::io::split(far);
    let up = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            tokio::time::sleep(Duration::from_secs(1) * read as u32 / rate).await;
            if to_service.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    let down = tokio::io::copy(&mut from_service, &mut to_client);
    tokio::select! {
        () = up => {}
        _ = down => {}
    }
}

/// Of sizes that photographs have as lossless WebP.
fn photograph(number: usize) -> Image {
    let size = 250_000 + number * 7919 % 200_000;
    Image::from_payload(Payload::new(
        ImageFormat::Webp,
        RequestEncoding::Uncompressed,
        vec![0; size],
    ))
}

#[tokio::test(start_paused = true)]
async fn a_slow_uplink_carries_every_image_with_the_default_settings() {
    for rate in [20_000, 50_000, 100_000, 2_000_000] {
        let script = Script::new(Play::Answer);
        let client = Client::builder().service(link(&script, rate));
        let session = client.build().unwrap().session().open().unwrap();
        let begin = Instant::now();
        let images = stream::iter((0..60).map(|number| (number, photograph(number))));
        let mut results = session.classify_all(images);
        while let Some((number, result)) = results.next().await {
            if let Err(error) = result {
                panic!(
                    "{rate} bytes/s, image {number}: {error:?} {:?}",
                    session.stats()
                );
            }
        }
        let stats = session.stats();
        assert_eq!((stats.verdicts, stats.resent, stats.connects), (60, 0, 1));
        let carried = stats.bytes_sent as f64 / begin.elapsed().as_secs_f64();
        let share = carried / f64::from(rate);
        assert!(share > 0.8, "{share} of {rate} bytes/s");
    }
}

/// Overload: the service works on one image after the other, however many it has.
#[tokio::test(start_paused = true)]
async fn an_overloaded_service_gets_no_more_than_it_sustains() {
    for (per_image, timeout, least) in [
        (50, 6, 0.95),
        (500, 6, 0.9),
        (2_000, 6, 0.9),
        (5_500, 6, 0.9),
    ] {
        const IMAGES: usize = 300;
        let per_image = Duration::from_millis(per_image);
        let script = Script::new(Play::Labour(per_image));
        let session = script.client().build().unwrap().session();
        let session = session
            .image_timeout(Duration::from_secs(timeout))
            .open()
            .unwrap();
        let begin = Instant::now();
        let images = stream::iter((0..IMAGES).map(|number| (number, hash(number))));
        let verdicts = session
            .classify_all(images)
            .filter(|(_, result)| std::future::ready(result.is_ok()))
            .count()
            .await;
        let worked = begin.elapsed().as_secs_f64() / per_image.as_secs_f64();
        let share = verdicts as f64 / worked;
        assert!(
            share > least,
            "{share} of what can be done at {per_image:?} an image"
        );
    }
}

/// An answer in the window is the verdict, however late, while nobody has been told otherwise; and
/// what has timed out still takes up a place at the service.
#[tokio::test(start_paused = true)]
async fn an_image_that_timed_out_holds_its_place_until_the_service_is_done_with_it() {
    let script = Script::new(Play::Labour(Duration::from_secs(9)));
    let session = script.client().build().unwrap().session();
    let session = session
        .image_timeout(Duration::from_secs(6))
        .max_in_flight(1)
        .open()
        .unwrap();
    let first = session.submit(hash(1)).await.unwrap();
    first.await.unwrap_err();
    assert_eq!(script.elapsed(), Duration::from_secs(6));
    let second = session.submit(hash(2)).await.unwrap();
    assert!(second.await.is_err());
    let stats = session.stats();
    assert_eq!(stats.late, 1, "{stats:?}");
    // It was sent when the service was done with the first.
    assert_eq!(stats.queue_time.sum(), Duration::from_secs(9 - 6));
}

/// On real sockets, whose buffers hide what has not arrived: each photograph takes longer than a
/// connection may be still.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_goes_on_is_no_stall() {
    let emulator = emulator().await;
    let relay = Relay::to(emulator.host()).await;
    relay.set(Mode::Uplink(180_000));
    let client = builder(&emulator).endpoint(relay.endpoint()).build();
    let session = client.unwrap().session();
    let session = session
        .no_progress_timeout(Duration::from_secs(3))
        .open()
        .unwrap();
    let images = stream::iter((0..3).map(|number| (number, frame(number))));
    let results: Vec<_> = session.classify_all(images).collect().await;
    assert!(
        results.iter().all(|(_, result)| result.is_ok()),
        "{results:?}"
    );
    let stats = session.stats();
    assert_eq!((stats.connects, stats.resent), (1, 0), "{stats:?}");
}

/// To a service that is far away and lets so many bytes be under way on a connection.
fn distance(script: &Script, round_trip: Duration, window: u32) -> Channel {
    let (open, opened) = mpsc::unbounded_channel();
    let service =
        athena_proto::classifier_service_server::ClassifierServiceServer::new(script.clone());
    tokio::spawn(
        Server::builder()
            .initial_stream_window_size(window)
            .initial_connection_window_size(window)
            .add_service(service)
            .serve_with_incoming(UnboundedReceiverStream::new(opened)),
    );
    let connector = tower::service_fn(move |_: Uri| {
        let (client, near) = tokio::io::duplex(1 << 20);
        let (far, server) = tokio::io::duplex(1 << 20);
        let (from_client, to_client) = tokio::io::split(near);
        let (from_service, to_service) = tokio::io::split(far);
        tokio::spawn(travel(from_client, to_service, round_trip / 2));
        tokio::spawn(travel(from_service, to_client, round_trip / 2));
        let opened = open.send(std::io::Result::Ok(server));
        async move {
            opened.map_err(std::io::Error::other)?;
            std::io::Result::Ok(TokioIo::new(client))
        }
    });
    Endpoint::from_static("http://far.invalid").connect_with_connector_lazy(connector)
}

/// Everything arrives so much later, however much it is.
async fn travel(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    time: Duration,
) {
    let (leave, mut arrive) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let leaving = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let _ = leave.send((Instant::now() + time, buffer[..read].to_vec()));
        }
    };
    let arriving = async {
        while let Some((at, bytes)) = arrive.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = leaving => {}
        () = arriving => {}
    }
}

/// With the window of HTTP/2 that the service gives, and no other limit: the client adds none.
#[tokio::test(start_paused = true)]
async fn distance_costs_no_more_than_the_services_window() {
    for window in [64 << 10, 1 << 20] {
        let round_trip = Duration::from_millis(150);
        let script = Script::new(Play::Answer);
        let client = Client::builder().service(distance(&script, round_trip, window));
        let session = client.build().unwrap().session().open().unwrap();
        let begin = Instant::now();
        let images = stream::iter((0..200).map(|number| (number, photograph(number))));
        let results: Vec<_> = session.classify_all(images).collect().await;
        let failed = results.iter().find(|(_, result)| result.is_err());
        assert!(failed.is_none(), "{failed:?} {:?}", session.stats());
        let carried = session.stats().bytes_sent as f64 / begin.elapsed().as_secs_f64();
        let allowed = f64::from(window) / round_trip.as_secs_f64();
        assert!(carried > 0.8 * allowed, "{carried} of {allowed} bytes/s");
    }
}
