//! The process stands still for longer than anybody waits, and the answer lies in the socket.

use std::time::Duration;

use athena_client::{Client, Image, Session};

use crate::script::{Play, Script};
use crate::support::hash;

/// What the service takes for an image.
const WORK: Duration = Duration::from_millis(300);
/// What an image has: over when the process goes on.
const TIME: Duration = Duration::from_millis(1_200);
const PAUSE: Duration = Duration::from_millis(2_500);

/// A service that goes on while the test's runtime stands still; until the sender is gone.
fn service(play: Play) -> (Script, Client, tokio::sync::oneshot::Sender<()>) {
    let (ready, service) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let script = Script::new(play);
            let client = script.serve().await.build().expect("a client");
            ready.send((script, client)).expect("a test");
            let _ = stopped.await;
        });
    });
    let (script, client) = service.recv().expect("a service");
    (script, client, stop)
}

fn image() -> Image {
    hash(1).timeout(TIME)
}

/// Stops everything that this runtime does, once the service has the image.
async fn pause(script: &Script) {
    while script.messages().iter().all(|(_, images)| *images == 0) {
        tokio::task::yield_now().await;
    }
    std::thread::sleep(PAUSE);
}

fn open(client: &Client) -> Session {
    let session = client.session().no_progress_timeout(Duration::from_secs(1));
    session.open().expect("a session")
}

#[tokio::test]
async fn a_session_reads_first_what_has_come() {
    let (script, client, _stop) = service(Play::Labour(WORK));
    let session = open(&client);
    let pending = session.submit(image()).await.unwrap();
    // The head of the answer, too, may or may not have been read.
    pause(&script).await;
    pending.await.unwrap();
    assert_eq!(session.stats().connects, 1);
}

#[tokio::test]
async fn a_session_reads_first_even_where_the_stream_is_not_open_yet() {
    let (script, client, _stop) = service(Play::LateHead(WORK));
    let session = open(&client);
    let pending = session.submit(image()).await.unwrap();
    pause(&script).await;
    pending.await.unwrap();
    assert_eq!(session.stats().connects, 1);
}

#[tokio::test]
async fn a_call_reads_first_what_has_come() {
    let (script, client, _stop) = service(Play::Labour(WORK));
    let call = tokio::spawn(async move { client.classify(image()).await });
    pause(&script).await;
    call.await.unwrap().unwrap();
}
