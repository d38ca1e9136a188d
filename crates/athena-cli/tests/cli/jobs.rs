//! `athena worker`, `athena jobs` and `athena reconcile`, against a real nats-server where there is one.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{archive, athena, athena_in, bmp, run};
use crate::nats::{NatsServer, free_port};

#[test]
fn from_a_folder_to_outcomes_and_back() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(server) = NatsServer::start(folder, "") else {
        return;
    };
    archive(folder, "photos", 6);
    std::fs::write(folder.join("photos/broken.bmp"), &bmp(9)[..60]).expect("write");
    let submit = ["jobs", "submit", "photos"];
    let first = server.athena(folder, &submit);
    assert!(
        first.code == Some(0) && first.stderr.contains("7 queued, 0 were"),
        "{first:?}"
    );
    let twice = server.athena(folder, &submit);
    assert!(
        twice.stderr.contains("0 queued, 7 were queued already"),
        "{twice:?}"
    );
    let status = server
        .athena(folder, &["jobs", "status", "--json", "--over=0s"])
        .json();
    assert_eq!(
        (&status[0]["lag"], &status[0]["backfill"]["waiting"]),
        (&json!(7), &json!(7))
    );

    // What nobody has done yet is lost as far as anybody knows.
    let lost = server.athena(folder, &["reconcile", "photos"]);
    assert_eq!((lost.code, lost.json().len()), (Some(1), 7), "{lost:?}");

    let list = json!({"key": "by-name", "path": "photos/0001.bmp", "context": {"post": 7}});
    std::fs::write(folder.join("list"), list.to_string()).expect("write");
    let submitted = server.athena(folder, &["jobs", "submit", "--lane=live", "--from=list"]);
    assert_eq!(submitted.code, Some(0), "{submitted:?}");

    let worked = server.athena(folder, &["worker", "--emulator", "--until-empty"]);
    assert!(
        worked.code == Some(0) && worked.stderr.contains("8 outcomes stored"),
        "{worked:?}"
    );
    assert!(
        worked.stderr.contains("sync_interval"),
        "it warns: {worked:?}"
    );
    let results = server.athena(folder, &["jobs", "results"]);
    let records = results.json();
    assert_eq!(records.len(), 8, "{results:?}");
    let of = |key: &str| {
        records
            .iter()
            .find(|record| record["key"] == key)
            .expect("an outcome")
    };
    assert_eq!(of("photos/0003.bmp")["status"], "classified");
    assert_eq!(of("photos/broken.bmp")["error"]["kind"], "truncated");
    assert_eq!(of("by-name")["context"], json!({"post": 7}));
    assert!(results.stderr.contains("--from 9"), "{results:?}");
    let rest = server.athena(folder, &["jobs", "results", "--from=8"]);
    assert_eq!(rest.json().len(), 1);

    let done = server.athena(folder, &["reconcile", "photos"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{done:?}");
    let nobody = server.athena(folder, &["jobs", "retry", "--all"]);
    assert_eq!(nobody.code, Some(7), "{nobody:?}");

    // Against files, without the queue; one of them is missing there.
    let lines: Vec<&str> = results.stdout.lines().collect();
    let short = lines.iter().filter(|line| !line.contains("0002.bmp"));
    let short: String = short.map(|line| format!("{line}\n")).collect();
    std::fs::write(folder.join("some.jsonl"), short).expect("write");
    let lost = athena_in(folder, &["reconcile", "photos", "--in=some.jsonl"]);
    assert_eq!(lost.json()[0]["key"], "photos/0002.bmp", "{lost:?}");
    let again = server.athena(
        folder,
        &["reconcile", "photos", "--in=some.jsonl", "--submit"],
    );
    assert!(
        again.code == Some(0) && again.stderr.contains("1 queued again"),
        "{again:?}"
    );
}

#[test]
fn what_waits_in_another_lane_is_not_queued_twice() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(server) = NatsServer::start(folder, "") else {
        return;
    };
    archive(folder, "photos", 4);
    std::fs::write(folder.join("list"), "photos/0001.bmp\nphotos/0003.bmp\n").expect("write");
    server.athena(folder, &["jobs", "submit", "--lane=live", "--from=list"]);
    let again = server.athena(folder, &["reconcile", "photos", "--submit"]);
    assert!(
        again.code == Some(0) && again.stderr.contains("2 queued again, 2 were queued still"),
        "{again:?}"
    );
    let status = server.athena(folder, &["jobs", "status", "--json", "--over=0s"]);
    let status = status.json();
    assert_eq!(
        (
            &status[0]["live"]["waiting"],
            &status[0]["backfill"]["waiting"]
        ),
        (&json!(2), &json!(2))
    );
}

#[test]
fn jobs_that_the_broker_keeps_elsewhere_bring_lost_outcomes_back() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(server) = NatsServer::start(folder, "") else {
        return;
    };
    archive(folder, "photos", 3);
    let list = json!({"key": "by-name", "path": "photos/0001.bmp", "context": {"post": 7}});
    std::fs::write(folder.join("list"), list.to_string()).expect("write");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    run(
        athena(folder, &["jobs", "submit", "--lane=live", "--from=list"])
            .env("NATS_URL", server.url())
            .env("TRACEPARENT", trace),
    );
    server.athena(folder, &["jobs", "submit", "photos"]);
    let copied = async {
        let client = async_nats::connect(server.url()).await.expect("connected");
        let context = async_nats::jetstream::new(client);
        let source = async_nats::jetstream::stream::Source {
            name: "ATHENA_JOBS".to_owned(),
            ..Default::default()
        };
        let config = async_nats::jetstream::stream::Config {
            name: "COPY".to_owned(),
            mirror: Some(source),
            ..Default::default()
        };
        let copy = context.create_stream(config).await.expect("a mirror");
        while copy.get_info().await.expect("a state").state.messages < 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        context
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let context = runtime.block_on(copied);

    // What waits in the queue has no outcome yet, and is not queued twice.
    let waiting = server.athena(folder, &["reconcile", "nats:ATHENA_JOBS"]);
    let mut keys: Vec<_> = (waiting.json().iter())
        .map(|job| job["key"].clone())
        .collect();
    keys.sort_by_key(ToString::to_string);
    let expected = [
        "by-name",
        "photos/0000.bmp",
        "photos/0001.bmp",
        "photos/0002.bmp",
    ];
    assert_eq!(
        (waiting.code, keys),
        (Some(1), expected.map(|key| json!(key)).to_vec()),
        "{waiting:?}"
    );
    let again = server.athena(folder, &["reconcile", "nats:ATHENA_JOBS", "--submit"]);
    assert!(
        again.code == Some(0) && again.stderr.contains("0 queued again, 4 were queued still"),
        "{again:?}"
    );

    let work = || {
        let worked = server.athena(folder, &["worker", "--emulator", "--until-empty"]);
        assert!(worked.stderr.contains("4 outcomes stored"), "{worked:?}");
    };
    work();
    for stream in ["nats:ATHENA_JOBS", "nats:COPY"] {
        let done = server.athena(folder, &["reconcile", stream]);
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{done:?}");
    }
    // As a broker would that has lost what it had confirmed.
    let lost = runtime.block_on(context.delete_stream("ATHENA_OUTCOMES"));
    assert!(lost.expect("an answer").success);
    let queued = server.athena(folder, &["reconcile", "nats:COPY", "--submit"]);
    assert!(
        queued.code == Some(0) && queued.stderr.contains("4 queued again, 0 were"),
        "{queued:?}"
    );
    let status = server
        .athena(folder, &["jobs", "status", "--json", "--over=0s"])
        .json();
    assert_eq!(
        (
            &status[0]["live"]["waiting"],
            &status[0]["backfill"]["waiting"]
        ),
        (&json!(1), &json!(3))
    );
    let headers = runtime.block_on(async {
        let jobs = context.get_stream("ATHENA_JOBS").await.expect("the jobs");
        let live = jobs.get_last_raw_message_by_subject("ATHENA_JOBS.live.>");
        live.await.expect("the job").headers
    });
    let parent = headers.get("traceparent").map(|value| value.as_str());
    assert_eq!(parent, Some(trace), "it is part of the trace that it was");
    work();
    let results = server.athena(folder, &["jobs", "results"]).json();
    let named = results.iter().find(|record| record["key"] == "by-name");
    assert_eq!(named.expect("an outcome")["context"], json!({"post": 7}));
    let unknown = server.athena(folder, &["reconcile", "nats:NOWHERE"]);
    assert!(
        unknown.code == Some(5) && unknown.stderr.contains("NOWHERE"),
        "{unknown:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_worker_is_watched_and_ends_in_good_order() {
    use crate::common::signal;

    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(server) = NatsServer::start(folder, "") else {
        return;
    };
    let listen = format!("127.0.0.1:{}", free_port());
    let mut worker = athena(folder, &["worker", "--emulator", "--listen", &listen])
        .env("NATS_URL", format!("nats://127.0.0.1:{}", server.port))
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let address = format!("http://{listen}");
    let probe =
        |what: &str| athena_in(folder, &["ask", "--server", &address, "--probe", what]).code;
    let until = Instant::now() + Duration::from_secs(60);
    while probe("ready") != Some(0) {
        assert!(Instant::now() < until && worker.try_wait().expect("wait").is_none());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(probe("live"), Some(0));
    drop(server);
    while probe("ready") == Some(0) {
        assert!(Instant::now() < until, "ready without a queue");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(probe("live"), Some(0), "a restart would not help");
    signal(&worker, "TERM");
    assert_eq!(worker.wait().expect("its end").code(), Some(0));
}

#[test]
fn credentials_are_those_of_nats_and_stay_out_of_arguments_and_messages() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let refused = athena_in(
        folder,
        &[
            "jobs",
            "status",
            "--nats",
            "nats://user:hunter2@127.0.0.1:1",
        ],
    );
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(!refused.stderr.contains("hunter2"));
    let nobody = athena_in(folder, &["jobs", "status", "--nats", "nats://127.0.0.1:1"]);
    assert!(
        nobody.code == Some(5) && nobody.stderr.contains("nats-server -js"),
        "{nobody:?}"
    );
    let missing = athena_in(folder, &["jobs", "status", "--nats-creds=missing.creds"]);
    assert!(
        missing.code == Some(3) && missing.stderr.contains("missing.creds"),
        "{missing:?}"
    );

    let users = "authorization { users = [ { user: worker, password: hunter2 } ] }";
    let Some(server) = NatsServer::start(folder, users) else {
        return;
    };
    let url = format!("nats://127.0.0.1:{}", server.port);
    let status = |name: &str, value: &str| {
        let mut command = athena(folder, &["jobs", "status", "--over=0s", "--nats", &url]);
        command.env("NATS_USER", "worker").env(name, value);
        run(&mut command)
    };
    assert_eq!(status("NATS_PASSWORD", "hunter2").code, Some(0));
    let wrong = status("NATS_PASSWORD", "hunter3");
    assert!(
        wrong.code == Some(4) && !wrong.stderr.contains("hunter3"),
        "{wrong:?}"
    );
    let by_url = format!("nats://worker:hunter2@127.0.0.1:{}", server.port);
    let mut command = athena(folder, &["jobs", "status", "--over=0s"]);
    assert_eq!(run(command.env("NATS_URL", by_url)).code, Some(0));
}

#[cfg(unix)]
#[test]
fn a_file_whose_name_is_no_key_is_said_and_the_others_are_queued() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(server) = NatsServer::start(folder, "") else {
        return;
    };
    archive(folder, "in", 3);
    for name in ["new\nline.bmp", "return\r.bmp", "escape\x1b[31m.bmp"] {
        std::fs::write(folder.join("in").join(name), crate::common::bmp(9)).expect("write");
    }
    let run = server.athena(folder, &["jobs", "submit", "in"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stderr
            .contains("3 queued, 0 were queued already, 3 failed"),
        "{run:?}"
    );
    let lines = "{\"key\":\"a\\nb\",\"path\":\"in/0001.bmp\"}\n{\"key\":\"a\",\"path\":\"in/0001.bmp\",\"name\":\"\\r\"}\n";
    std::fs::write(folder.join("list"), lines).expect("write");
    let run = server.athena(folder, &["jobs", "submit", "--from=list"]);
    assert!(
        run.stderr
            .contains("0 queued, 0 were queued already, 2 failed"),
        "{run:?}"
    );
    let affiliate = ["jobs", "submit", "in/0002.bmp", "--affiliate=a\nb"];
    let run = server.athena(folder, &affiliate);
    assert_eq!(run.code, Some(1), "{run:?}");
}

#[test]
fn logs_at_any_level_hold_no_password_and_no_image() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let users = "authorization { users = [ { user: worker, password: hunter2 } ] }";
    let Some(server) = NatsServer::start(folder, users) else {
        return;
    };
    std::fs::write(folder.join("a.jpg"), "no image, but SOME-BYTES").expect("write");
    let url = format!("nats://worker:hunter2@127.0.0.1:{}", server.port);
    for arguments in [
        &["jobs", "submit", "a.jpg"][..],
        &["reconcile", "nats:ATHENA_JOBS"],
        &["worker", "--emulator", "--until-empty"],
        &["jobs", "results"],
    ] {
        for log in ["--log=trace", "--log=async_nats::connection=trace,debug"] {
            let arguments = [arguments, &[log]].concat();
            let run = run(athena(folder, &arguments).env("NATS_URL", &url));
            assert!(run.stderr.contains("DEBUG"), "{arguments:?}: {run:?}");
            // As they are, and in Base64.
            for secret in ["hunter2", "SOME-BYTES", "bm8gaW1hZ2UsIGJ1d"] {
                assert!(!run.stderr.contains(secret), "{arguments:?}: {run:?}");
            }
        }
    }
}
