//! `athena serve` and `athena ask`, together.

use std::io::Read;
use std::path::Path;

use crate::common::{EmulatorProcess, Run, athena, athena_in, bmp, pictures};
use crate::http::Serve;

const POLICY: &str = "on_error = 'hold'\notherwise = 'allow'\n\
    [[rules]]\nwhen = 'known_match'\nthen = 'block'\n\
    [[rules]]\nwhen = 'undecodable'\nthen = 'block'\n";

/// With an emulator of its own.
fn start(folder: &Path, more: &[&str]) -> Serve {
    start_for(folder, &[&["--emulator"], more].concat())
}

fn start_for(folder: &Path, more: &[&str]) -> Serve {
    Serve::start(&mut athena(folder, &[&["serve", "--json"], more].concat()))
}

fn ask(server: &Serve, folder: &Path, more: &[&str]) -> Run {
    let mut arguments = vec!["ask", "--server", &server.url];
    arguments.extend(more);
    athena_in(folder, &arguments)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("policy.toml"), POLICY).expect("write");
    std::fs::write(folder.path().join("good.bmp"), bmp(1)).expect("write");
    std::fs::write(folder.path().join("broken.bmp"), &bmp(1)[..60]).expect("write");
    std::fs::write(folder.path().join("none.txt"), "hello").expect("write");
    folder
}

#[test]
fn the_exit_code_is_the_decision() {
    let folder = folder();
    let folder = folder.path();
    let listen = ["--listen", "127.0.0.1:0", "--policy", "policy.toml"];
    let server = start(folder, &listen);
    for (file, code, text) in [
        ("good.bmp", 0, "good.bmp: allow (otherwise)\n"),
        ("broken.bmp", 10, "broken.bmp: block (undecodable)\n"),
        (
            "none.txt",
            11,
            "none.txt: review (on_error: unknown_format)\n",
        ),
    ] {
        let run = ask(&server, folder, &[file]);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (Some(code), text),
            "{run:?}"
        );
    }
    let run = ask(&server, folder, &["--json", "good.bmp", "--id", "a-1"]);
    assert_eq!(run.json()[0]["key"], "a-1");
    assert_eq!(ask(&server, folder, &["--probe", "ready"]).code, Some(0));
    assert_eq!(ask(&server, folder, &["missing"]).code, Some(8));
    let picture = pictures().join("..");
    assert_eq!(
        ask(&server, folder, &[&picture.to_string_lossy()]).code,
        Some(8)
    );
    #[cfg(unix)]
    {
        let made = std::process::Command::new("mkfifo")
            .arg(folder.join("trap.jpg"))
            .status();
        assert!(made.expect("mkfifo runs").success());
        let trapped = ask(&server, folder, &["trap.jpg"]);
        assert_eq!(trapped.code, Some(8), "at once: {trapped:?}");
    }
    std::fs::write(folder.join("long"), "k".repeat(1025)).expect("write");
    let long = ask(&server, folder, &["--key-file", "long", "good.bmp"]);
    assert_eq!(long.code, Some(3), "{long:?}");
    assert!(long.stderr.contains("more than 1 KiB"), "{long:?}");
    let nowhere = athena_in(
        folder,
        &["ask", "--server", "http://127.0.0.1:1", "good.bmp"],
    );
    assert_eq!(nowhere.code, Some(5), "{nowhere:?}");
}

#[test]
fn without_a_policy_nothing_is_allowed() {
    let folder = folder();
    let server = start(folder.path(), &["--listen", "127.0.0.1:0"]);
    let run = ask(&server, folder.path(), &["good.bmp"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stderr.contains("has no policy"), "{run:?}");
    assert_eq!(ask(&server, folder.path(), &["broken.bmp"]).code, Some(1));
}

#[cfg(unix)]
#[test]
fn a_unix_socket_a_key_and_an_end_in_good_order() {
    let folder = folder();
    let folder = folder.path();
    let minted = athena_in(folder, &["serve", "--mint-key", "forum"]);
    assert_eq!(minted.code, Some(0), "{minted:?}");
    std::fs::write(folder.join("keys.toml"), &minted.stdout).expect("write");
    let key = minted.stderr.lines().next().expect("the key");
    assert!(!minted.stdout.contains(key));
    std::fs::write(folder.join("key"), key).expect("write");
    let mut server = start(
        folder,
        &[
            "--listen",
            "unix:a.sock",
            "--policy",
            "policy.toml",
            "--keys",
            "keys.toml",
        ],
    );
    assert_eq!(server.url, "unix:a.sock");
    let run = ask(&server, folder, &["good.bmp"]);
    assert_eq!(run.code, Some(4), "{run:?}");
    let run = ask(&server, folder, &["good.bmp", "--key-file", "key"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    crate::common::signal(&server.child, "TERM");
    let status = server.child.wait().expect("ends");
    assert_eq!(status.code(), Some(0));
    assert!(!folder.join("a.sock").exists());
    let mut said = String::new();
    let stderr = server.child.stderr.as_mut().expect("piped");
    stderr.read_to_string(&mut said).expect("text");
    assert!(said.contains("stopping"), "{said}");
    assert!(!said.contains(key), "{said}");
}

/// A certificate for `localhost` alone, and one for a caller, by an authority in `ca.pem`.
pub(crate) fn certificates(folder: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("write");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("a certificate");
    write("ca.pem", authority.pem());
    for name in ["localhost", "caller"] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[test]
fn another_machine_is_asked_over_tls_that_is_checked() {
    let folder = folder();
    let folder = folder.path();
    certificates(folder);
    let minted = athena_in(folder, &["serve", "--mint-key", "forum"]);
    std::fs::write(folder.join("keys.toml"), &minted.stdout).expect("write");
    let key = minted.stderr.lines().next().expect("the key");
    std::fs::write(folder.join("key"), key).expect("write");
    let listen = [
        "--listen=127.0.0.1:0",
        "--policy=policy.toml",
        "--tls-cert=localhost.pem",
        "--tls-key=localhost.key",
    ];
    let start = |more: &[&str]| {
        let mut server = start(folder, &[&listen[..], more].concat());
        let by_address = std::mem::take(&mut server.url);
        server.url = by_address.replace("127.0.0.1", "localhost");
        (server, by_address)
    };
    let (server, by_address) = start(&["--keys=keys.toml"]);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let run = ask(
        &server,
        folder,
        &["--ca=ca.pem", "--key-file=key", "good.bmp"],
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    let probe = ask(&server, folder, &["--ca=ca.pem", "--probe=ready"]);
    assert_eq!(probe.code, Some(0), "{probe:?}");
    let nameless = ask(&server, folder, &["--ca=ca.pem", "good.bmp"]);
    assert_eq!(nameless.code, Some(4), "{nameless:?}");
    // The key goes to nobody who is not shown to be the one.
    let unknown = ask(&server, folder, &["--key-file=key", "good.bmp"]);
    assert_eq!(unknown.code, Some(5), "{unknown:?}");
    assert!(unknown.stderr.contains("--ca FILE"), "{unknown:?}");
    let mut elsewhere = athena(folder, &["ask", "--ca=ca.pem", "good.bmp"]);
    let elsewhere = crate::common::run(elsewhere.env("ATHENA_SERVER", &by_address));
    assert_eq!(elsewhere.code, Some(5), "{elsewhere:?}");
    assert!(
        elsewhere
            .stderr
            .contains("for localhost, not for 127.0.0.1"),
        "{elsewhere:?}"
    );
    let plain = server.url.replace("https://", "http://");
    let plain = athena_in(folder, &["ask", "--server", &plain, "good.bmp"]);
    assert_eq!(plain.code, Some(5), "{plain:?}");
    assert!(plain.stderr.contains("use https://"), "{plain:?}");

    let (server, _) = start(&["--client-ca=ca.pem"]);
    let shown = ["--client-cert=caller.pem", "--client-key=caller.key"];
    let run = ask(
        &server,
        folder,
        &[&shown[..], &["--ca=ca.pem", "good.bmp"]].concat(),
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    let hidden = ask(&server, folder, &["--ca=ca.pem", "good.bmp"]);
    assert_eq!(hidden.code, Some(5), "{hidden:?}");
}

#[test]
fn a_secret_that_is_replaced_in_its_file_is_used_for_the_next_token() {
    let folder = folder();
    let folder = folder.path();
    let emulator = |secret: &str, more: &[&str]| {
        let client =
            format!("[[clients]]\nid = 'rotating'\nsecret = '{secret}'\naffiliates = ['*']\n");
        std::fs::write(folder.join("emulator.toml"), client).expect("write");
        std::fs::write(folder.join("secret"), secret).expect("write");
        // Its key survives, so that a token is only refused when it is revoked.
        let always = ["--config=emulator.toml", "--certificates=certificates"];
        EmulatorProcess::start(folder, &[&always[..], more].concat())
    };
    let (running, ready) = emulator("the-first-secret", &[]);
    let server = start_for(
        folder,
        &[
            "--listen=127.0.0.1:0",
            "--policy=policy.toml",
            "--env-file=emulator.env",
            "--client-secret-file=secret",
            "--affiliate=acme",
        ],
    );
    let run = ask(&server, folder, &["good.bmp"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    drop(running);
    let port = |name: &str| {
        let place = ready[name].as_str().expect("a place");
        let digits = place.rsplit(':').next().expect("a port");
        digits.split('/').next().expect("digits").to_owned()
    };
    let ports = [
        format!("--port={}", port("host")),
        format!("--token-port={}", port("token_url")),
    ];
    let (running, ready) = emulator("the-second-secret", &[&ports[0], &ports[1]]);
    running.admin(&ready, "POST /tokens/revoke", "");
    let run = ask(&server, folder, &["good.bmp"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let stats = running.stats(&ready);
    assert_eq!(
        (&stats["tokens_granted"], &stats["tokens_refused"]),
        (&1.into(), &0.into()),
        "{stats}"
    );
}

#[test]
fn other_machines_are_not_served_by_accident() {
    let folder = folder();
    let serve = |more: &[&str]| {
        let mut arguments = vec!["serve", "--emulator", "--listen", "0.0.0.0:0"];
        arguments.extend(more);
        athena_in(folder.path(), &arguments)
    };
    let open = serve(&[]);
    assert_eq!(open.code, Some(2), "{open:?}");
    assert!(open.stderr.contains("--keys"), "{open:?}");
    let minted = athena_in(folder.path(), &["serve", "--mint-key", "forum"]);
    std::fs::write(folder.path().join("keys.toml"), minted.stdout).expect("write");
    let plain = serve(&["--keys", "keys.toml"]);
    assert_eq!(plain.code, Some(2), "{plain:?}");
    assert!(plain.stderr.contains("--tls-cert"), "{plain:?}");
    let mut away = athena(
        folder.path(),
        &[
            "ask",
            "--server",
            "http://192.0.2.1:1",
            "--key-file",
            "key",
            "good.bmp",
        ],
    );
    let away = crate::common::run(&mut away);
    assert_eq!(away.code, Some(2), "{away:?}");
    assert!(away.stderr.contains("in the clear"), "{away:?}");
}

#[cfg(feature = "worker")]
#[test]
fn options_of_a_queue_want_a_queue() {
    let folder = folder();
    let arguments = ["serve", "--emulator", "--jobs", "UPLOADS"];
    let run = athena_in(folder.path(), &arguments);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("--queue"), "{run:?}");
}
