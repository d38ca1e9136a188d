//! `athena doctor` and the backlog commands through the real binary.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;
use tempfile::tempdir;

use crate::common::{EmulatorProcess, archive, athena, athena_in, run};

fn steps(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let steps = report["steps"].as_array().expect("steps");
    steps
        .iter()
        .map(|step| (text(&step["name"]), text(&step["status"])))
        .collect()
}

#[test]
fn everything_is_well_with_an_emulator() {
    let folder = tempdir().expect("folder");
    let run = athena_in(folder.path(), &["doctor", "--emulator", "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let report = &run.json()[0];
    let steps = steps(report);
    assert!(steps.iter().all(|(_, status)| status == "ok"), "{steps:?}");
    let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "configuration",
        "token endpoint: DNS",
        "token endpoint: TCP",
        "token endpoint: TLS",
        "clock",
        "service: DNS",
        "service: TCP",
        "service: TLS",
        "token",
        "permissions",
        "round trip",
        "affiliate",
        "message limits",
    ];
    assert_eq!(names, expected);
    let tls = report["steps"][3]["detail"].as_str().expect("detail");
    assert!(
        tls.contains("valid until") && tls.contains("in --ca"),
        "{tls}"
    );
}

#[test]
fn what_is_missing_or_wrong_is_named_with_its_remedy() {
    let folder = tempdir().expect("folder");
    let run = athena_in(folder.path(), &["doctor"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stdout.contains("✗ client_id"), "{}", run.stdout);
    assert!(
        run.stdout.contains("→ set OAUTH_CLIENT_ID"),
        "{}",
        run.stdout
    );

    let (_emulator, _) = EmulatorProcess::start(folder.path(), &[]);
    let with = |flags: &[&str]| {
        athena_in(
            folder.path(),
            &[&["doctor", "--json", "--env-file=emulator.env"], flags].concat(),
        )
    };
    let failed = |run: &crate::common::Run| {
        let steps = steps(&run.json()[0]);
        let failed = steps.into_iter().filter(|(_, status)| status == "failed");
        failed.map(|(name, _)| name).collect::<Vec<_>>()
    };
    let unreachable = with(&["--host=127.0.0.1:9"]);
    assert_eq!(unreachable.code, Some(5), "{unreachable:?}");
    assert_eq!(failed(&unreachable), ["service: TCP"]);
    assert!(
        !unreachable.stdout.contains("athena doctor"),
        "no news: {unreachable:?}"
    );

    std::fs::write(folder.path().join("secret"), "wrong-wrong").expect("write");
    let refused = with(&["--client-secret-file=secret"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert_eq!(failed(&refused), ["token"]);
    assert!(!refused.stdout.contains("wrong-wrong"));

    let affiliate = with(&["--affiliate=nobody"]);
    assert_eq!(affiliate.code, Some(4), "{affiliate:?}");
    assert_eq!(failed(&affiliate), ["affiliate"]);
}

#[test]
fn what_the_service_takes_at_most_is_named_with_what_to_change() {
    for (limit, setting) in [("1048576", "max_message_bytes"), ("300000", "--payload")] {
        let folder = tempdir().expect("folder");
        let settings = format!("[limits]\nmessage_bytes = {limit}\n");
        std::fs::write(folder.path().join("small.toml"), settings).expect("write");
        let (_emulator, _) = EmulatorProcess::start(folder.path(), &["--config=small.toml"]);
        let run = athena_in(
            folder.path(),
            &["doctor", "--json", "--env-file=emulator.env"],
        );
        assert_eq!(run.code, Some(0), "{run:?}");
        let report = run.json().remove(0);
        let step = (report["steps"].as_array().expect("steps").last()).expect("a step");
        assert_eq!(step["name"], "message limits");
        assert_eq!(step["status"], "warning", "{step}");
        let text = |name: &str| step[name].as_str().expect("text");
        assert!(
            text("detail").contains(&format!("at most {limit} bytes")),
            "{step}"
        );
        assert!(text("remedy").contains(setting), "{step}");
    }
}

#[test]
fn why_there_is_no_tls_is_told_apart() {
    let folder = tempdir().expect("folder");
    let (_emulator, ready) = EmulatorProcess::start(folder.path(), &["--address=0.0.0.0"]);
    let text = |name: &str| ready[name].as_str().expect("text").to_owned();
    let (_, port) = (ready["host"].as_str())
        .and_then(|host| host.rsplit_once(':'))
        .expect("port");
    let tls = |flags: &[&str]| {
        let arguments = [&["doctor", "--json", "--env-file=emulator.env"], flags].concat();
        let run = athena_in(folder.path(), &arguments);
        assert_eq!(run.code, Some(5), "{run:?}");
        let report = run.json().remove(0);
        let steps = report["steps"].as_array().expect("steps").clone();
        let step = steps
            .iter()
            .find(|step| step["status"] == "failed")
            .expect("a failure");
        assert!(
            step["name"]
                .as_str()
                .is_some_and(|name| name.ends_with(": TLS")),
            "{step}"
        );
        let text = |name: &str| step[name].as_str().expect("text").to_owned();
        (text("detail"), text("remedy"))
    };
    let (detail, remedy) = tls(&[&format!("--host=127.0.0.2:{port}")]);
    assert!(detail.contains("not for 127.0.0.2"), "{detail}");
    assert!(remedy.contains("name"), "{remedy}");

    let admin = text("admin_url").replace("http://", "https://");
    let (detail, remedy) = tls(&[&format!("--host={}", admin.trim_end_matches('/'))]);
    assert!(detail.contains("speaks plain HTTP"), "{detail}");
    assert!(remedy.contains("port for TLS"), "{remedy}");

    let env = std::fs::read_to_string(folder.path().join("emulator.env")).expect("read");
    let kept = env
        .lines()
        .filter(|line| !line.contains("ROOTS") && !line.contains("CERT"));
    let kept: Vec<&str> = kept.collect();
    std::fs::write(folder.path().join("emulator.env"), kept.join("\n")).expect("write");
    let (detail, remedy) = tls(&[]);
    assert!(detail.contains("CA that nobody here trusts"), "{detail}");
    assert!(remedy.contains("--ca FILE"), "{remedy}");
}

#[test]
fn the_environments_proxy_is_for_other_machines_and_examined_there() {
    let folder = tempdir().expect("folder");
    let doctor = |variable: &str, value: &str| {
        let arguments = ["doctor", "--emulator", "--json"];
        run(athena(folder.path(), &arguments).env(variable, value))
    };
    for variable in ["HTTPS_PROXY", "ALL_PROXY"] {
        // Nothing listens there.
        let local = doctor(variable, "http://127.0.0.1:9");
        assert_eq!(local.code, Some(0), "{local:?}");
        assert!(!local.stdout.contains("proxy"), "{local:?}");
    }
    let wrong = doctor("HTTPS_PROXY", "ftp://user:hunter2@proxy");
    assert_eq!(wrong.code, Some(3), "{wrong:?}");
    assert!(wrong.stdout.contains("HTTPS_PROXY"), "{wrong:?}");
    assert!(!wrong.stdout.contains("hunter2"));

    let (_emulator, _) = EmulatorProcess::start(folder.path(), &[]);
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = proxy.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in proxy.incoming() {
            let mut client = client.expect("a connection");
            let _ = client.read(&mut [0; 1024]);
            let _ = client.write_all(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let arguments = [
        "doctor",
        "--json",
        "--env-file=emulator.env",
        "--host=athena.test:443",
    ];
    let url = format!("http://user:hunter2@{address}");
    let refused = run(athena(folder.path(), &arguments).env("HTTPS_PROXY", &url));
    assert_eq!(refused.code, Some(5), "{refused:?}");
    let steps = steps(&refused.json()[0]);
    let of = |name: &str| steps.iter().find(|(step, _)| step == name);
    assert_eq!(
        of("service: proxy").map(|(_, status)| status.as_str()),
        Some("ok")
    );
    assert_eq!(
        of("service: tunnel").map(|(_, status)| status.as_str()),
        Some("failed")
    );
    assert!(
        of("token endpoint: proxy").is_none(),
        "it is on this machine"
    );
    assert!(refused.stdout.contains("407") && !refused.stdout.contains("hunter2"));
}

#[test]
fn a_backlog_is_listed_and_collected() {
    let folder = tempdir().expect("folder");
    archive(folder.path(), "in", 20);
    let delay = "delay = { constant = '2s' }";
    let (emulator, ready) = EmulatorProcess::start(folder.path(), &["--fault", delay]);
    let arguments = [
        "scan",
        "in",
        "--env-file=emulator.env",
        "--payload=raw",
        "--output=out.jsonl",
        "--deployment=worker-7",
    ];
    // A process that dies after it has sent its images, and before it has their results.
    let mut child = crate::common::athena(folder.path(), &arguments)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary runs");
    while emulator.stats(&ready)["inputs"] == 0 {}
    child.kill().expect("SIGKILL");
    child.wait().expect("wait");

    let listed = loop {
        let arguments = ["deployments", "--json", "--env-file=emulator.env"];
        let lines = athena_in(folder.path(), &arguments).json();
        let worker = lines
            .iter()
            .find(|line| line["deployment_id"] == "worker-7")
            .expect("a deployment with a backlog is listed");
        match worker["backlog"].as_u64().expect("a number") {
            0 => continue,
            backlog => break usize::try_from(backlog).expect("few"),
        }
    };
    let arguments = [
        "collect",
        "worker-7",
        "--env-file=emulator.env",
        "--quiet=4s",
    ];
    let run = athena_in(folder.path(), &arguments);
    assert_eq!(run.code, Some(0), "{run:?}");
    let lines = run.json();
    assert!(lines.len() >= listed, "{listed} of {run:?}");
    for line in &lines {
        assert_eq!(line["status"], "classified");
        assert!(
            line["correlation_id"].is_string() && line["pcsam"].is_f64(),
            "{line}"
        );
    }
}
