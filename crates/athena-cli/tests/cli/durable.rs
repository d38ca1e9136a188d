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
fn names_of_files_and_the_trace_come_back_with_the_outcome() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "") else {
        return;
    };
    let server = serve(folder, &nats);
    let longest = "\u{10000}".repeat(255);
    let names = [
        "photo 1.bmp",
        " \u{444}\u{43e}\u{442}\u{43e}: \"?\u{e9}.bmp",
        &longest,
    ];
    let mut form = Vec::new();
    for (name, number) in names.iter().zip(0..) {
        // As browsers write it.
        let name = name.replace('"', "%22");
        let head = format!(
            "--frontier\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        );
        form.extend(head.into_bytes());
        form.extend(bmp(number));
        form.extend(b"\r\n");
    }
    form.extend(b"--frontier--\r\n");
    let headers = format!(
        "content-type: multipart/form-data; boundary=frontier\r\nidempotency-key: form\r\n\
         traceparent: {PARENT}\r\ntracestate: vendor=a:1,other=2\r\n"
    );
    let (status, body) = server.request("POST /v1/classify?queue=true", &headers, &form);
    assert_eq!(status, 202, "{body}");
    // Where its bytes are kept does not matter, nor what a later request calls it.
    let list = json!({"key": "listed", "url": "https://127.0.0.1:1/a.bmp", "name": "listed.bmp"});
    std::fs::write(folder.join("list"), list.to_string()).expect("write");
    let mut submit = athena(folder, &["jobs", "submit", "--lane=live", "--from=list"]);
    submit.env("NATS_URL", nats.url());
    submit.env("TRACEPARENT", PARENT).env("TRACESTATE", "env=1");
    assert_eq!(crate::common::run(&mut submit).code, Some(0));

    work(&nats, folder);
    for (name, number) in names.iter().zip(0..) {
        let (status, record) = outcome(&server, &format!("form-{number}"), "");
        assert_eq!((status, &record["status"]), (200, &json!("classified")));
        let path = record["path"].as_str().expect("a name");
        assert_eq!(path, name.trim().replace('"', "%22"));
    }
    let results = nats.athena(folder, &["jobs", "results"]).json();
    let listed = results.iter().find(|record| record["key"] == "listed");
    assert_eq!(listed.expect("an outcome")["path"], "listed.bmp");

    // Whoever reads outcomes from the stream finds the trace beside them.
    let traces = async {
        let client = async_nats::connect(nats.url()).await.expect("connected");
        let context = async_nats::jetstream::new(client);
        let stream = context.get_stream("ATHENA_OUTCOMES").await.expect("there");
        let mut traces = Vec::new();
        for sequence in 1..=4 {
            let message = stream.get_raw_message(sequence).await.expect("an outcome");
            let text = |name| {
                message
                    .headers
                    .get(name)
                    .map(|value| value.as_str().to_owned())
            };
            traces.push((text("traceparent"), text("tracestate")));
        }
        traces
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut traces = runtime.block_on(traces);
    traces.sort();
    let of = |state: &str| (Some(PARENT.to_owned()), Some(state.to_owned()));
    let [by_http, by_list] = [of("vendor=a:1,other=2"), of("env=1")];
    assert_eq!(traces, [by_list, by_http.clone(), by_http.clone(), by_http]);
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
