//! What dashboards and alert rules ask for is what `/metrics` has; unit files are what systemd takes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::athena;
use crate::http::Serve;

fn docs(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(path)
}

/// The names of metrics in a text, without what Prometheus adds to those of histograms.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        .filter(|word| word.starts_with("athena_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

/// The names that an exposition has.
fn exposed(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect()
}

fn check(folder: &str, metrics: &str) {
    let exposed = exposed(metrics);
    assert!(exposed.len() > 20, "{metrics}");
    let grafana = std::fs::read_to_string(docs(&format!("{folder}/grafana.json"))).expect("read");
    let dashboard: Value = serde_json::from_str(&grafana).expect("JSON");
    for panel in dashboard["panels"].as_array().expect("panels") {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            let asked = named(target["expr"].as_str().expect("an expression"));
            assert!(!asked.is_empty() && asked.is_subset(&exposed), "{target}");
        }
    }
    let alerts = std::fs::read_to_string(docs(&format!("{folder}/alerts.yaml"))).expect("read");
    let mut rules = 0;
    for rule in alerts.lines().filter(|line| line.contains("expr: ")) {
        let asked = named(rule);
        assert!(!asked.is_empty() && asked.is_subset(&exposed), "{rule}");
        rules += 1;
    }
    assert!(rules >= 5, "{rules}");
}

#[test]
fn the_server_has_what_its_dashboard_and_rules_ask_for() {
    let folder = tempfile::tempdir().expect("folder");
    let listen = ["serve", "--emulator", "--json", "--listen=127.0.0.1:0"];
    let serve = Serve::start(&mut athena(folder.path(), &listen));
    check("serve", &serve.text("/metrics"));
}

#[cfg(all(unix, feature = "worker"))]
#[test]
fn a_worker_has_what_its_dashboard_rules_and_scaler_ask_for() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = crate::nats::NatsServer::start(folder, "") else {
        return;
    };
    std::fs::write(folder.join("a.bmp"), crate::common::bmp(1)).expect("write");
    let submitted = nats.athena(folder, &["jobs", "submit", "a.bmp"]);
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    let address = format!("127.0.0.1:{}", crate::nats::free_port());
    let mut command = athena(folder, &["worker", "--emulator", "--listen", &address]);
    command
        .env("NATS_URL", nats.url())
        .stderr(std::process::Stdio::null());
    let mut worker = command.spawn().expect("it starts");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let metrics = loop {
        // The queue's figures come when it was asked for the first time.
        match crate::http::text(&address, "/metrics") {
            Some(text) if text.contains("athena_queue_lag") => break text,
            _ => assert!(std::time::Instant::now() < until, "no figures"),
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    crate::common::signal(&worker, "TERM");
    assert_eq!(worker.wait().expect("its end").code(), Some(0));
    check("worker", &metrics);
    let keda = std::fs::read_to_string(docs("worker/keda.yaml")).expect("read");
    let query = keda.lines().find(|line| line.contains("query:"));
    assert!(named(query.expect("a query")).is_subset(&exposed(&metrics)));
}

#[cfg(unix)]
#[test]
fn unit_files_are_sound() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!("SKIPPED: no systemd-analyze");
        return;
    };
    assert!(version.status.success());
    let folder = tempfile::tempdir().expect("folder");
    for name in [
        "serve/athena.service",
        "serve/athena.socket",
        "worker/athena-worker.service",
    ] {
        let text = std::fs::read_to_string(docs(name)).expect("read");
        // It looks for the program, and for its manual page.
        let text = text
            .replace("/usr/local/bin/athena", env!("CARGO_BIN_EXE_athena"))
            .lines()
            .filter(|line| !line.starts_with("Documentation=man:"))
            .fold(String::new(), |text, line| text + line + "\n");
        let name = Path::new(name).file_name().expect("a name");
        std::fs::write(folder.path().join(name), text).expect("write");
    }
    for name in ["athena.service", "athena-worker.service"] {
        let verified = Command::new("systemd-analyze")
            .arg("verify")
            .arg(folder.path().join(name))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && !said.contains(name), "{said}");
    }
}
