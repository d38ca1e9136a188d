//! Peers that do not mean well, or badly: what they cost is bounded, and others go on.

use std::sync::Arc;
use std::time::Duration;

use athena_emulator::{Emulator, Limits};
use athena_proto::ClassificationInput;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsConnector, rustls};
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tower_service::Service;

use crate::support::{
    PATIENCE, Session, channel, client, client_with, frame, hash_input, http, input, on, settle,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// `:method: POST`, `:scheme: https`, `:path: /` by their places in HPACK's static table.
const REQUEST: &[u8] = &[0x83, 0x87, 0x84];

/// A frame of RFC 9113 section 4.1.
fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A TLS connection that has said no more than HTTP/2's greeting.
async fn greeted(emulator: &Emulator) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(
        emulator.ca_pem().as_bytes(),
    );
    roots.add(ca.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(emulator.host()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, tcp).await.unwrap();
    let greeting = [PREFACE, &raw(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&greeting).await.unwrap();
    stream
}

/// Sends pieces until there are no more or the emulator ends the connection, then reads what it says
/// to the end. Tells the types of the frames.
async fn flood(mut stream: TlsStream<TcpStream>, pieces: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    for piece in pieces {
        if stream.write_all(&piece).await.is_err() {
            break;
        }
    }
    let _ = stream.shutdown().await;
    let mut said = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said))
        .await
        .expect("no end");
    let mut kinds = Vec::new();
    let mut rest = &said[..];
    while let [a, b, c, kind, ..] = *rest {
        kinds.push(kind);
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    kinds
}

async fn still_answers(emulator: &Emulator) {
    let mut grpc = client(emulator).await;
    let answer = grpc.classify_single(hash_input(emulator, "a"));
    tokio::time::timeout(PATIENCE, answer)
        .await
        .expect("no answer")
        .unwrap();
}

#[tokio::test]
async fn a_header_bomb_ends_its_own_connection() {
    let emulator = Emulator::builder().start().await.unwrap();
    // Headers that never end: 64 MB of a literal field, in pieces.
    let field = [&[0x00, 0x01, b'a', 0x7f, 0x81, 0x7e][..], &[b'x'; 16 << 10]].concat();
    let begin = raw(HEADERS, 0, 1, &[REQUEST, &field[..1000]].concat());
    let more = std::iter::repeat_n(raw(CONTINUATION, 0, 1, &field[..16 << 10]), 4000);
    let said = flood(greeted(&emulator).await, std::iter::once(begin).chain(more)).await;
    assert!(said.contains(&GOAWAY), "{said:?}");
    still_answers(&emulator).await;
    assert_eq!(emulator.stats().calls.get("Classify"), None);
}

#[tokio::test]
async fn rapid_resets_end_their_own_connection() {
    let emulator = Emulator::builder().start().await.unwrap();
    let pairs = (0..50_000).map(|n| {
        let id = 2 * n + 1;
        let open = raw(HEADERS, END_HEADERS, id, REQUEST);
        [open, raw(RST_STREAM, 0, id, &8u32.to_be_bytes())].concat()
    });
    let said = flood(greeted(&emulator).await, pairs).await;
    assert!(said.contains(&GOAWAY), "{} frames", said.len());
    still_answers(&emulator).await;
    settle(|| emulator.stats().streams_open == 0).await;
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_no_faster_than_it_is_read() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut stream = greeted(&emulator).await;
    let pings = raw(PING, 0, 0, &[7; 8]).repeat(1000);
    // Nobody reads the answers: once the buffers are full the emulator stops reading, too.
    let mut sent = 0;
    while sent < 100_000_000 {
        let write = stream.write(&pings);
        match tokio::time::timeout(Duration::from_millis(500), write).await {
            Ok(Ok(bytes)) => sent += bytes,
            Ok(Err(_)) | Err(_) => break,
        }
    }
    assert!(sent < 100_000_000, "it took everything");
    still_answers(&emulator).await;
}

#[tokio::test]
async fn thousands_of_idle_streams_leave_room_for_work() {
    let emulator = Emulator::builder().start().await.unwrap();
    let channel = channel(&emulator).await;
    let mut grpc = on(channel, &emulator);
    let mut sessions = Vec::new();
    for n in 0..3000 {
        let session = Session::open(&mut grpc, &format!("idle-{}", n % 100)).await;
        session.send(vec![]).await;
        sessions.push(session);
    }
    settle(|| emulator.stats().keepalives == 3000).await;
    still_answers(&emulator).await;
    let last = sessions.last_mut().unwrap();
    last.send(vec![hash_input(&emulator, "b")]).await;
    settle(|| emulator.stats().results_sent == 1).await;
    drop(sessions);
    settle(|| emulator.stats().streams_open == 0).await;
}

#[tokio::test]
async fn clients_of_the_admin_api_that_stall_do_not_hold_up_others() {
    let emulator = Emulator::builder().start().await.unwrap();
    let address = emulator
        .admin_url()
        .trim_start_matches("http://")
        .to_owned();
    let mut stalled = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = match n % 2 {
            0 => "GET /stats HTTP/1.1\r\nhost: localh",
            _ => "POST /rules HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{",
        };
        stream.write_all(request.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    let url = format!("{}/health", emulator.admin_url());
    let answer = tokio::time::timeout(PATIENCE, http(&emulator).get(url).send()).await;
    assert_eq!(answer.expect("no answer").unwrap().status(), 200);
    let large = http(&emulator)
        .post(format!("{}/digests", emulator.admin_url()))
        .body(vec![0; (64 << 20) + 1])
        .send()
        .await;
    // It may have hung up before all was sent.
    assert!(large.is_err() || large.unwrap().status() == 413);
}

#[tokio::test]
async fn messages_that_never_end_take_no_more_memory_than_they_may() {
    let mut limits = Limits::default();
    limits.memory_bytes = 4 << 20;
    let emulator = Emulator::builder().limits(limits).start().await.unwrap();
    let mut grpc = client(&emulator).await;
    let big = input(&emulator, "big", vec![0; 5 << 20]);
    let refused = grpc.classify_single(big.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("memory_bytes"), "{refused}");
    let mut session = Session::open(&mut grpc, "d").await;
    session.send(vec![big]).await;
    let refused = session.message().await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    // What was paid for is given back.
    for _ in 0..20 {
        let small = input(&emulator, "small", frame(1));
        let output = grpc.classify_single(small).await.unwrap().into_inner();
        assert_eq!(output.error, None);
    }
    let mut session = Session::open(&mut grpc, "e").await;
    for n in 0..20 {
        session
            .send(vec![input(&emulator, &n.to_string(), frame(1))])
            .await;
        session.outputs(1).await;
    }
}

/// How a call ends that sends these bytes and then nothing, without an end.
async fn stalled(emulator: &Emulator, method: &str, bytes: Vec<u8>) -> Status {
    let token = emulator.mint(athena_emulator::TokenKind::Valid).unwrap();
    let sent = tokio_stream::once(Ok::<_, Status>(Frame::data(bytes.into())));
    let request = http::Request::post(format!("/athena.ClassifierService/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::new(StreamBody::new(
            sent.chain(tokio_stream::pending()),
        )))
        .unwrap();
    let mut channel = channel(emulator).await;
    std::future::poll_fn(|context| channel.poll_ready(context))
        .await
        .unwrap();
    let answer = tokio::time::timeout(PATIENCE, channel.call(request)).await;
    let (parts, body) = answer.expect("no answer").unwrap().into_parts();
    if let Some(status) = Status::from_header_map(&parts.headers) {
        return status;
    }
    let end = tokio::time::timeout(PATIENCE, body.collect()).await;
    let end = end.expect("no end").unwrap();
    Status::from_header_map(end.trailers().unwrap()).unwrap()
}

#[tokio::test]
async fn senders_that_stop_give_the_memory_of_their_messages_back() {
    let mut limits = Limits::default();
    limits.memory_bytes = 1 << 20;
    limits.message_pause = Duration::from_secs(1);
    let emulator = Emulator::builder().limits(limits).start().await.unwrap();
    // Each takes most of the memory that there is: the next one gets no place beside it.
    let half = [&[0, 0, 15, 0, 0][..], &[0; 900 << 10]].concat();
    // A field that nobody knows, 901 KiB long; what is missing is the end of the call.
    let unended = [
        &[0, 0, 0x0e, 0x10, 5, 0xfa, 1, 0x80, 0xa0, 0x38][..],
        &[0; 900 << 10],
    ]
    .concat();
    for (method, bytes) in [
        ("ClassifySingle", half.clone()),
        ("Classify", half),
        ("ClassifySingle", unended),
    ] {
        let ended = stalled(&emulator, method, bytes).await;
        assert_eq!(ended.code(), Code::DeadlineExceeded, "{method}: {ended}");
        assert!(ended.message().contains("message_pause"), "{ended}");
    }
    let mut grpc = client(&emulator).await;
    let whole = grpc.classify_single(input(&emulator, "a", frame(1)));
    assert_eq!(whole.await.unwrap().into_inner().error, None);
}

#[tokio::test]
async fn compressed_messages_are_taken_and_bounded() {
    let emulator = Emulator::builder().start().await.unwrap();
    let token = emulator.mint(athena_emulator::TokenKind::Valid).unwrap();
    let mut grpc = client_with(&emulator, &format!("Bearer {token}"))
        .await
        .send_compressed(CompressionEncoding::Gzip);
    let output = grpc
        .classify_single(input(&emulator, "a", frame(1)))
        .await
        .unwrap();
    assert_eq!(output.into_inner().classifications.len(), 8);
    let bomb = grpc
        .classify_single(input(&emulator, "a", vec![0; 65 << 20]))
        .await
        .unwrap_err();
    assert_eq!(bomb.code(), Code::ResourceExhausted);
    still_answers(&emulator).await;
}

/// The batches that other clients send at their defaults: ten raw frames, and fifty.
#[tokio::test]
async fn the_documented_batch_sizes_fit() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    for batch in [10, 50] {
        let inputs: Vec<ClassificationInput> = (0..batch)
            .map(|n| input(&emulator, &format!("{batch}-{n}"), frame(n as u8)))
            .collect();
        session.send(inputs).await;
        assert_eq!(session.ids(batch).await.len(), batch);
    }
}
