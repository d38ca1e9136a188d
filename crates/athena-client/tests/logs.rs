//! What the logs say, and what they never do. A program of its own: a subscriber for every thread
//! can be set only once.

#[allow(dead_code)]
#[path = "it/support.rs"]
mod support;

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use athena_client::auth::Static;
use athena_client::{Client, Image};
use athena_emulator::TokenKind;
use tracing_subscriber::fmt::MakeWriter;

use support::{builder, emulator, hash, hasty, png};

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(|e| e.into_inner())).into_owned()
    }

    /// All events of this process, down to TRACE.
    fn of_everything() -> &'static Self {
        static LOG: LazyLock<Log> = LazyLock::new(|| {
            let log = Log::default();
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .with_writer(log.clone())
                .init();
            log
        });
        &LOG
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn no_token_and_no_secret_is_ever_logged() {
    let log = Log::of_everything();
    let emulator = emulator().await;
    let token = emulator.mint(TokenKind::Valid).unwrap();
    let secret = emulator.client_secret().to_owned();
    for client in [
        builder(&emulator),
        builder(&emulator).token_source(Static::bearer(token.clone()).unwrap()),
    ] {
        let client = client.build().unwrap();
        client.classify(Image::from_bytes(png(16))).await.unwrap();
        let session = hasty(&client).open().unwrap();
        session.submit(hash(1)).await.unwrap().await.unwrap();
        emulator.cut_streams();
        session.submit(hash(2)).await.unwrap().await.unwrap();
        let _ = write!(log.clone(), "{client:?} {session:?} {:?}", session.stats());
        session.close().await.unwrap();
    }
    let text = log.text();
    assert!(text.contains("connection lost"), "the log is there");
    for sensitive in [token, secret] {
        let leak = text.lines().find(|line| line.contains(&sensitive));
        assert_eq!(leak, None);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn too_many_pings_makes_the_next_connection_ping_less() {
    let log = Log::of_everything();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let grumpy = async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(tcp).await.unwrap();
            // Reads the call, then closes as strict servers do.
            let _call = connection.accept().await;
            connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
            while connection.accept().await.is_some() {}
        }
    };
    let client = Client::builder()
        .endpoint(endpoint)
        .no_proxy()
        .build()
        .unwrap();
    let session = hasty(&client).open().unwrap();
    let image = hash(1).timeout(Duration::from_secs(5));
    let said = async {
        let _pending = session.submit(image).await.unwrap();
        while !log.text().contains("interval=240s") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = said => {}
        () = grumpy => {}
    }
    assert!(
        log.text()
            .contains("the server wants fewer pings interval=120s")
    );
}
