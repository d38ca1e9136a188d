//! `athena serve --queue` and `athena worker`, with a real nats-server where there is one.

use std::path::Path;

use serde_json::{Value, json};

use crate::common::{athena, bmp};
use crate::http::Serve;
use crate::nats::NatsServer;

fn serve(folder: &Path, nats: &NatsServer) -> Serve {
    let url = nats.url();
    let listen = ["serve", "--emulator", "--json", "--listen=127.0.0.1:0"];
    Serve::start(&mut athena(
        folder,
        &[&listen[..], &["--queue", &url]].concat(),
    ))
}

fn queue(serve: &Serve, key: &str, more: &str, image: &[u8]) -> (u16, Value) {
    let headers = format!("content-type: image/bmp\r\nidempotency-key: {key}\r\n");
    serve.request(
        &format!("POST /v1/classify?queue=true{more}"),
        &headers,
        image,
    )
}

fn outcome(serve: &Serve, key: &str, more: &str) -> (u16, Value) {
    serve.request(&format!("GET /v1/outcomes/{key}{more}"), "", b"")
}

fn work(nats: &NatsServer, folder: &Path) {
    let worked = nats.athena(folder, &["worker", "--emulator", "--until-empty"]);
    assert_eq!(worked.code, Some(0), "{worked:?}");
}

#[test]
fn what_was_answered_202_has_its_outcome_though_the_server_is_killed() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "") else {
        return;
    };
    let server = serve(folder, &nats);
    for number in 0..5 {
        let (status, body) = queue(
            &server,
            &format!("upload-{number}"),
            "&frames=2",
            &bmp(number),
        );
        assert_eq!(status, 202, "{body}");
        assert_eq!(body["location"], format!("/v1/outcomes/upload-{number}"));
    }
    let (status, body) = queue(&server, "broken", "", &bmp(9)[..60]);
    assert_eq!(status, 202, "{body}");
    drop(server);

    work(&nats, folder);
    let results = nats.athena(folder, &["jobs", "results"]).json();
    assert_eq!(results.len(), 6, "one outcome for each");

    let server = serve(folder, &nats);
    for number in 0..5 {
        let (status, record) = outcome(&server, &format!("upload-{number}"), "");
        assert_eq!((status, &record["status"]), (200, &json!("classified")));
    }
    let (status, problem) = outcome(&server, "broken", "");
    assert_eq!(
        (status, &problem["outcome"]["error"]["kind"]),
        (422, &json!("truncated"))
    );
    assert_eq!(outcome(&server, "unknown", "?wait=5").0, 404);

    // Sent again: the same image has its outcome, another has none under this key.
    assert_eq!(queue(&server, "upload-1", "", &bmp(1)).0, 200);
    assert_eq!(queue(&server, "upload-1", "", &bmp(2)).0, 409);
    // While it waits, too.
    assert_eq!(queue(&server, "waits", "", &bmp(7)).0, 202);
    assert_eq!(queue(&server, "waits", "", &bmp(7)).0, 202);
    assert_eq!(queue(&server, "waits", "", &bmp(8)).0, 409);
    assert_eq!(outcome(&server, "waits", "").0, 202);
}

#[test]
fn who_waits_hears_of_an_outcome_when_a_worker_leaves_it() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "") else {
        return;
    };
    let server = serve(folder, &nats);
    std::thread::scope(|scope| {
        let posted = scope.spawn(|| queue(&server, "a", "&wait=30", &bmp(1)));
        assert_eq!(queue(&server, "b", "", &bmp(2)).0, 202);
        let found = scope.spawn(|| outcome(&server, "b", "?wait=30"));
        // Both wait before there is a worker.
        while nats
            .athena(folder, &["jobs", "status", "--json", "--over=0s"])
            .json()[0]["lag"]
            != 2
        {}
        work(&nats, folder);
        for answer in [posted, found] {
            let (status, record) = answer.join().expect("no panic");
            assert_eq!((status, &record["status"]), (200, &json!("classified")));
        }
    });
}

#[test]
fn a_broker_that_restarts_is_waited_for_and_one_that_is_gone_is_said() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "") else {
        return;
    };
    let server = serve(folder, &nats);
    assert_eq!(
        server.request("GET /readyz", "", b"").1["queue"],
        json!(true)
    );
    assert_eq!(queue(&server, "kept", "", &bmp(1)).0, 202);
    let nats = nats.start_again(folder);
    // Its caller notices nothing.
    assert_eq!(queue(&server, "meanwhile", "", &bmp(2)).0, 202);
    assert_eq!(outcome(&server, "kept", "").0, 202);
    work(&nats, folder);
    for key in ["kept", "meanwhile"] {
        assert_eq!(outcome(&server, key, "").0, 200, "{key}");
    }

    drop(nats);
    let (status, problem) = queue(&server, "a", "", &bmp(1));
    assert_eq!(
        (status, &problem["type"]),
        (503, &json!("urn:athena:problem:queue-unavailable"))
    );
    assert_eq!(server.request("GET /readyz", "", b"").0, 503);
}
