//! What the connection of the unary calls lives through: refused streams, farewells, silence, and
//! runtimes that end. The server here speaks HTTP/2 by hand, since a gRPC server would not misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use athena_client::{Client, ErrorKind};
use bytes::Bytes;
use futures_util::future::join_all;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use http::{HeaderMap, HeaderValue, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{builder, client, emulator, frame, hash};

/// How the server treats calls.
#[derive(Debug, Clone, Copy)]
enum Habit {
    /// Announces that many streams, if any number, and refuses what goes beyond the other.
    Refuses { announced: Option<u32>, most: usize },
    /// Says farewell after as many calls, on every connection.
    Leaves { after: usize },
    /// Says farewell at once, on every other connection, and resets it.
    Resets,
    /// As it is, when so much of the first connection's uploads has come.
    ResetsAmid { bytes: usize },
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    answered: AtomicUsize,
    refused: AtomicUsize,
    in_flight: AtomicUsize,
}

struct Server {
    port: u16,
    counts: Arc<Counts>,
}

impl Server {
    async fn start(habit: Habit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let counts = Arc::<Counts>::default();
        let server = Arc::clone(&counts);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let before = server.connections.fetch_add(1, Ordering::SeqCst);
                match habit {
                    Habit::Resets if before.is_multiple_of(2) => {
                        tokio::spawn(reset(socket, 0));
                        continue;
                    }
                    Habit::ResetsAmid { bytes } if before == 0 => {
                        tokio::spawn(reset(socket, bytes));
                        continue;
                    }
                    _ => {}
                }
                tokio::spawn(serve(socket, habit, Arc::clone(&server)));
            }
        });
        Self { port, counts }
    }

    fn client(&self) -> Client {
        Client::builder()
            .endpoint(format!("http://localhost:{}", self.port))
            .build()
            .expect("a client")
    }

    fn answered(&self) -> usize {
        self.counts.answered.load(Ordering::SeqCst)
    }
}

async fn serve(socket: TcpStream, habit: Habit, counts: Arc<Counts>) {
    let mut settings = h2::server::Builder::new();
    if let Habit::Refuses {
        announced: Some(streams),
        ..
    } = habit
    {
        settings.max_concurrent_streams(streams);
    }
    let Ok(mut connection): Result<Connection<TcpStream, Bytes>, _> =
        settings.handshake(socket).await
    else {
        return;
    };
    let mut taken = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        taken += 1;
        match habit {
            Habit::Refuses { most, .. } if counts.in_flight.load(Ordering::SeqCst) >= most => {
                counts.refused.fetch_add(1, Ordering::SeqCst);
                respond.send_reset(Reason::REFUSED_STREAM);
                continue;
            }
            Habit::Leaves { after } if taken == after => connection.graceful_shutdown(),
            _ => {}
        }
        counts.in_flight.fetch_add(1, Ordering::SeqCst);
        let counts = Arc::clone(&counts);
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
            }
            // As long as it takes a classifier.
            tokio::time::sleep(Duration::from_millis(5)).await;
            answer(respond);
            counts.in_flight.fetch_sub(1, Ordering::SeqCst);
            counts.answered.fetch_add(1, Ordering::SeqCst);
        });
    }
}

/// Processes nothing, says so, and closes with the rest of the requests unread: a reset, with the farewell
/// before it.
async fn reset(mut socket: TcpStream, bytes: usize) -> std::io::Result<()> {
    // Windows that hold back no upload: of each stream, and of the connection.
    const SETTINGS: [u8; 15] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0, 0];
    const WINDOW: [u8; 13] = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0];
    // The last stream that was processed: none.
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).await?;
    if bytes > 0 {
        socket.write_all(&[&SETTINGS[..], &WINDOW].concat()).await?;
        socket.read_exact(&mut vec![0; bytes]).await?;
        return socket.write_all(&GOAWAY).await;
    }
    socket.readable().await?;
    socket.write_all(&[&SETTINGS[..], &GOAWAY].concat()).await
}

/// An empty list of deployments.
fn answer(mut respond: SendResponse<Bytes>) {
    let head = Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .expect("a head");
    let Ok(mut body) = respond.send_response(head, false) else {
        return;
    };
    let _ = body.send_data(Bytes::from_static(&[0; 5]), false);
    let status = HeaderMap::from_iter([(
        "grpc-status".parse().expect("a name"),
        HeaderValue::from_static("0"),
    )]);
    let _ = body.send_trailers(status);
}

/// As many calls at once; how many failed.
async fn at_once(client: &Client, calls: usize) -> usize {
    let calls = (0..calls).map(|_| client.list_deployments());
    let results = join_all(calls).await;
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        println!("{error:?}");
    }
    results.iter().filter(|result| result.is_err()).count()
}

#[tokio::test]
async fn calls_beyond_what_the_server_allows_wait_their_turn() {
    for announced in [Some(100), None] {
        let server = Server::start(Habit::Refuses {
            announced,
            most: 100,
        })
        .await;
        let client = server.client();
        for _ in 0..3 {
            assert_eq!(at_once(&client, 300).await, 0, "{announced:?}");
        }
        assert_eq!(server.answered(), 900, "each answered once");
        assert_eq!(server.counts.connections.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_server_that_allows_few_is_not_stormed() {
    let server = Server::start(Habit::Refuses {
        announced: None,
        most: 5,
    })
    .await;
    assert_eq!(at_once(&server.client(), 400).await, 0);
    assert_eq!(server.answered(), 400);
    let refused = server.counts.refused.load(Ordering::SeqCst);
    assert!(refused < 800, "{refused} refusals for 400 calls");
}

#[tokio::test]
async fn a_farewell_before_a_reset_is_heard() {
    let server = Server::start(Habit::Resets).await;
    for number in 1..=20 {
        // One for each connection.
        server
            .client()
            .list_deployments()
            .await
            .expect("made again");
        assert_eq!(server.answered(), number);
    }
    assert_eq!(server.counts.connections.load(Ordering::SeqCst), 40);
}

/// Who is sending learns of the end by that, with the farewell still unread.
#[tokio::test]
async fn a_farewell_amid_an_upload_is_heard() {
    let server = Server::start(Habit::ResetsAmid { bytes: 200_000 }).await;
    let client = server.client();
    let calls = (0..16).map(|number| client.classify(frame(number)));
    for result in join_all(calls).await {
        // This server's answers are empty.
        let error = result.expect_err("no labels");
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
        assert_eq!(error.sends(), Some(1), "{error:?}");
    }
    assert_eq!(server.answered(), 16, "each once");
    assert_eq!(server.counts.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_farewell_costs_no_call() {
    let server = Server::start(Habit::Leaves { after: 10 }).await;
    let client = server.client();
    for _ in 0..10 {
        assert_eq!(at_once(&client, 50).await, 0);
    }
    assert_eq!(server.answered(), 500, "each answered once");
    let connections = server.counts.connections.load(Ordering::SeqCst);
    assert!(connections >= 10, "{connections} connections");
}

/// Passes bytes on until its connections are frozen: open, and silent for good.
struct Freezer {
    port: u16,
    frozen: watch::Sender<usize>,
}

impl Freezer {
    async fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (frozen, freezes) = watch::channel(0);
        let target = target.to_owned();
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let target = target.clone();
                let mut freezes = freezes.clone();
                freezes.mark_unchanged();
                tokio::spawn(async move {
                    let mut inside = TcpStream::connect(target).await.expect("the target");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut outside, &mut inside) => {}
                        _ = freezes.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, frozen }
    }

    fn freeze(&self) {
        self.frozen.send_modify(|times| *times += 1);
    }
}

#[tokio::test]
async fn a_dead_connection_costs_one_call() {
    let emulator = emulator().await;
    let freezer = Freezer::before(emulator.host()).await;
    let client = builder(&emulator)
        .endpoint(format!("https://localhost:{}", freezer.port))
        .build()
        .unwrap();
    client.list_deployments().await.unwrap();
    freezer.freeze();
    let image = hash(1).timeout(Duration::from_millis(500));
    let error = client.classify(image).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    client.list_deployments().await.unwrap();

    // A caller with a clock of its own notices as well.
    freezer.freeze();
    let limit = Duration::from_millis(1200);
    let impatient = tokio::time::timeout(limit, client.list_deployments()).await;
    assert!(impatient.is_err());
    client.list_deployments().await.unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn a_client_outlives_the_runtimes_that_use_it() {
    let host = runtime_in_a_thread();
    let emulator = host.block_on(emulator());
    let client = client(&emulator);
    for _ in 0..3 {
        let runtime = runtime();
        runtime.block_on(client.list_deployments()).unwrap();
        runtime.block_on(client.list_deployments()).unwrap();
    }
    // Runtimes that nobody drives while another is used.
    let (one, other) = (runtime(), runtime());
    for _ in 0..3 {
        one.block_on(client.list_deployments()).unwrap();
        other.block_on(client.list_deployments()).unwrap();
    }
    host.block_on(emulator.shutdown());
}

/// For the server: driven whatever the test's thread does.
fn runtime_in_a_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}
