//! The folder that the tool is used in belongs to an attacker: whatever it holds, no secret and no
//! token goes where it points, and nothing in it runs.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::common::{EmulatorProcess, Run, archive, athena, run};
use tempfile::{TempDir, tempdir};

const SECRET: &str = "hunter2-hunter2";

/// A server on this machine that notes down what it is told.
struct Server {
    address: String,
    heard: Arc<Mutex<String>>,
}

impl Server {
    /// Notes down what `hear` makes of every connection, and then answers it.
    fn start(hear: fn(&TcpStream) -> String, answer: fn(&TcpStream)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("address").to_string();
        let heard = Arc::new(Mutex::new(String::new()));
        let notes = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let text = hear(&stream);
                notes.lock().expect("no panic").push_str(&text);
                answer(&stream);
            }
        });
        Self { address, heard }
    }

    /// Gives a token to everybody.
    fn token_endpoint() -> Self {
        const TOKEN: &str = r#"{"access_token":"t0ken.t0ken","expires_in":900}"#;
        Self::start(request, |mut stream| {
            let length = TOKEN.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{TOKEN}"
            );
        })
    }

    /// Hears the first words of a client.
    fn listener() -> Self {
        let first_words = |mut stream: &TcpStream| {
            let mut buffer = [0; 1024];
            let read = stream.read(&mut buffer).unwrap_or(0);
            String::from_utf8_lossy(&buffer[..read]).into_owned()
        };
        Self::start(first_words, |_| {})
    }

    /// A proxy behind which nothing speaks TLS: what goes to the real service ends here, at once.
    fn proxy() -> Self {
        Self::start(request, |mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        })
    }

    fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    fn heard(&self) -> String {
        self.heard.lock().expect("no panic").clone()
    }
}

/// Reads the head of a request and as much of a body as it announces.
fn request(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let length = name.eq_ignore_ascii_case("content-length");
                length.then(|| value.trim().parse::<usize>().ok()).flatten()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => bytes.extend_from_slice(&buffer[..read]),
            _ => return text,
        }
    }
}

/// Where a setting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Flag,
    Environment,
    EnvFile,
    Profile,
    WorkingFolder,
}

const LAYERS: [Layer; 5] = [
    Layer::Flag,
    Layer::Environment,
    Layer::EnvFile,
    Layer::Profile,
    Layer::WorkingFolder,
];

/// Every setting by its flag, its variable and its key in a profile.
const SETTINGS: [(&str, &str, &str); 6] = [
    ("--host", "ATHENA_HOST", "host"),
    ("--token-url", "OAUTH_AUTH_URL", "token_url"),
    ("--audience", "OAUTH_AUDIENCE", "audience"),
    ("--ca", "ATHENA_CA_FILE", "ca_certificate"),
    ("--affiliate", "ATHENA_AFFILIATE", "affiliate"),
    ("--client-id", "OAUTH_CLIENT_ID", "client_id"),
];

/// A working folder, a home elsewhere, and settings at their places.
struct Scene {
    home: TempDir,
    folder: TempDir,
    flags: Vec<String>,
    variables: BTreeMap<String, String>,
    env_file: String,
    profile: String,
    dotenv: String,
}

impl Scene {
    fn new() -> Self {
        Self {
            home: tempdir().expect("folder"),
            folder: tempdir().expect("folder"),
            flags: Vec::new(),
            variables: BTreeMap::new(),
            env_file: String::new(),
            profile: String::new(),
            dotenv: String::new(),
        }
    }

    fn set(&mut self, layer: Layer, variable: &str, value: &str) -> &mut Self {
        let (flag, _, key) = *(SETTINGS.iter())
            .find(|(_, name, _)| *name == variable)
            .expect("a setting");
        match layer {
            Layer::Flag => self.flags.push(format!("{flag}={value}")),
            Layer::Environment => {
                self.variables.insert(variable.to_owned(), value.to_owned());
            }
            Layer::EnvFile => self.env_file += &format!("{variable}={value}\n"),
            Layer::Profile => self.profile += &format!("{key} = '{value}'\n"),
            Layer::WorkingFolder => self.dotenv += &format!("{variable}={value}\n"),
        }
        self
    }

    fn secret(&mut self, layer: Layer) -> &mut Self {
        let file = self.home.path().join("secret");
        std::fs::write(&file, SECRET).expect("write");
        let file = file.display();
        match layer {
            Layer::Flag => self.flags.push(format!("--client-secret-file={file}")),
            Layer::Environment => {
                self.variables
                    .insert("OAUTH_CLIENT_SECRET".to_owned(), SECRET.to_owned());
            }
            Layer::EnvFile => self.env_file += &format!("OAUTH_CLIENT_SECRET={SECRET}\n"),
            Layer::Profile => self.profile += &format!("client_secret_file = '{file}'\n"),
            Layer::WorkingFolder => self.dotenv += &format!("OAUTH_CLIENT_SECRET={SECRET}\n"),
        }
        self
    }

    fn run(&self, arguments: &[&str]) -> Run {
        if !self.profile.is_empty() {
            let folder = self.home.path().join(".config/athena");
            std::fs::create_dir_all(&folder).expect("folder");
            let text = format!("[profiles.default]\n{}", self.profile);
            std::fs::write(folder.join("config.toml"), text).expect("write");
        }
        if !self.dotenv.is_empty() {
            std::fs::write(self.folder.path().join(".env"), &self.dotenv).expect("write");
        }
        let mut command = athena(self.folder.path(), arguments);
        command.args(&self.flags).env("HOME", self.home.path());
        if !self.env_file.is_empty() {
            let path = self.home.path().join("named.env");
            std::fs::write(&path, &self.env_file).expect("write");
            command.arg("--env-file").arg(path);
        }
        run(command.envs(&self.variables))
    }
}

/// What becomes of a secret when something at a layer says where it should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It goes there.
    Sent,
    /// It goes nowhere: code 3 says why.
    Refused,
    /// It goes to the default place: what points elsewhere is left out, and a note says why.
    Ignored,
    /// It goes to the default place: a file that is named takes the place of the working folder's.
    Replaced,
    /// It is not found, for the same reason.
    Unread,
}

/// The table of SECURITY.md.
fn fate(secret: Layer, steering: Layer) -> Fate {
    match (secret, steering) {
        (Layer::WorkingFolder, Layer::EnvFile) => Fate::Unread,
        (Layer::WorkingFolder, _) => Fate::Sent,
        (Layer::EnvFile, Layer::WorkingFolder) => Fate::Replaced,
        (_, Layer::WorkingFolder) => Fate::Ignored,
        (Layer::Profile, _) => Fate::Sent,
        (_, Layer::Profile) => Fate::Refused,
        (Layer::Flag | Layer::Environment | Layer::EnvFile, _) => Fate::Sent,
    }
}

/// Runs the command for every pair of layers, on several threads.
fn for_every_pair(check: impl Fn(Layer, Layer, Fate) + Sync) {
    std::thread::scope(|scope| {
        for secret in LAYERS {
            let check = &check;
            scope.spawn(move || {
                for steering in LAYERS {
                    check(secret, steering, fate(secret, steering));
                }
            });
        }
    });
}

fn assert_fate(run: &Run, fate: Fate, variable: &str, context: &str) {
    assert!(!run.stderr.contains(SECRET), "{context}: {run:?}");
    match fate {
        Fate::Sent | Fate::Replaced => {
            assert!(!run.stderr.contains("ignored"), "{context}: {run:?}");
        }
        Fate::Unread => {
            assert_eq!(run.code, Some(3), "{context}: {run:?}");
            assert!(run.stderr.contains("no client"), "{context}: {run:?}");
        }
        Fate::Refused => {
            assert_eq!(run.code, Some(3), "{context}: {run:?}");
            assert!(
                run.stderr.contains("may not come from"),
                "{context}: {run:?}"
            );
        }
        Fate::Ignored => {
            let note = format!("note: .env is ignored ({variable})");
            assert!(run.stderr.contains(&note), "{context}: {run:?}");
        }
    }
}

#[test]
fn a_secret_goes_only_to_a_token_endpoint_of_its_own_level_or_a_stronger_one() {
    let proxy = Server::proxy();
    for_every_pair(|secret, steering, fate| {
        let context = format!("secret {secret:?}, token URL {steering:?}");
        let thief = Server::token_endpoint();
        let mut scene = Scene::new();
        scene
            .secret(secret)
            .set(secret, "OAUTH_CLIENT_ID", "me")
            .set(secret, "ATHENA_AFFILIATE", "acme")
            .set(steering, "OAUTH_AUTH_URL", &thief.url());
        let proxy = format!("http://{}", proxy.address);
        scene.variables.insert("HTTPS_PROXY".to_owned(), proxy);
        let run = scene.run(&["token"]);
        let sent = thief.heard().contains(SECRET);
        assert_eq!(sent, fate == Fate::Sent, "{context}: {run:?}");
        assert_fate(&run, fate, "OAUTH_AUTH_URL", &context);
    });
    let connects = proxy.heard();
    assert!(
        connects.contains("CONNECT crispthinking.auth0.com:443"),
        "{connects}"
    );
}

#[test]
fn a_token_goes_only_to_a_host_of_its_secrets_own_level_or_a_stronger_one() {
    let proxy = Server::proxy();
    for_every_pair(|secret, steering, fate| {
        let context = format!("secret {secret:?}, host {steering:?}");
        let endpoint = Server::token_endpoint();
        let thief = Server::listener();
        let mut scene = Scene::new();
        scene
            .secret(secret)
            .set(secret, "OAUTH_CLIENT_ID", "me")
            .set(secret, "ATHENA_AFFILIATE", "acme")
            .set(Layer::Flag, "OAUTH_AUTH_URL", &endpoint.url())
            .set(
                steering,
                "ATHENA_HOST",
                &format!("http://{}", thief.address),
            );
        scene.flags.push("--timeout=300ms".to_owned());
        let proxy = format!("http://{}", proxy.address);
        scene.variables.insert("HTTPS_PROXY".to_owned(), proxy);
        let run = scene.run(&["deployments"]);
        assert_ne!(run.code, Some(0), "{context}: {run:?}");
        // HTTP/2's first words.
        let sent = thief.heard().contains("PRI * HTTP/2.0");
        assert_eq!(sent, fate == Fate::Sent, "{context}: {run:?}");
        assert_fate(&run, fate, "ATHENA_HOST", &context);
    });
}

#[test]
fn a_secret_asks_only_for_an_audience_of_its_own_level_or_a_stronger_one() {
    for_every_pair(|secret, steering, fate| {
        let context = format!("secret {secret:?}, audience {steering:?}");
        let endpoint = Server::token_endpoint();
        let mut scene = Scene::new();
        scene
            .secret(secret)
            .set(secret, "OAUTH_CLIENT_ID", "me")
            .set(secret, "ATHENA_AFFILIATE", "acme")
            .set(Layer::Flag, "OAUTH_AUTH_URL", &endpoint.url())
            .set(steering, "OAUTH_AUDIENCE", "elsewhere");
        let run = scene.run(&["token"]);
        let asked = endpoint.heard().contains("audience=elsewhere");
        assert_eq!(asked, fate == Fate::Sent, "{context}: {run:?}");
        assert_fate(&run, fate, "OAUTH_AUDIENCE", &context);
    });
}

#[test]
fn a_secret_trusts_only_a_ca_of_its_own_level_or_a_stronger_one() {
    let folder = tempdir().expect("folder");
    let (_emulator, ready) = EmulatorProcess::start(folder.path(), &[]);
    let text = |name: &str| ready[name].as_str().expect("text").to_owned();
    for_every_pair(|secret, steering, fate| {
        let context = format!("secret {secret:?}, CA {steering:?}");
        let mut scene = Scene::new();
        scene
            .secret(secret)
            .set(secret, "OAUTH_CLIENT_ID", "me")
            .set(secret, "ATHENA_AFFILIATE", "acme")
            .set(Layer::Flag, "OAUTH_AUTH_URL", &text("token_url"))
            .set(steering, "ATHENA_CA_FILE", &text("ca_file"));
        let run = scene.run(&["token"]);
        // The emulator does not know the secret: code 4 says that it has seen it.
        let trusted = run.code == Some(4);
        // The endpoint comes from a flag: the file of the working folder has no say about it.
        let (in_folder, alone) = (
            steering == Layer::WorkingFolder,
            secret == Layer::WorkingFolder,
        );
        let sent = fate == Fate::Sent && !in_folder;
        assert_eq!(trusted, sent, "{context}: {run:?}");
        if in_folder && alone {
            assert!(
                run.stderr.contains("note: .env: ATHENA_CA_FILE is ignored"),
                "{context}: {run:?}"
            );
        } else {
            assert_fate(&run, fate, "ATHENA_CA_FILE", &context);
        }
    });
}

/// A complete set of an attacker's, with a secret of its own.
fn attackers_file(url: &str) -> String {
    format!(
        "OAUTH_CLIENT_ID=eve\nOAUTH_CLIENT_SECRET=eve-eve\nOAUTH_AUTH_URL={url}\n\
         ATHENA_HOST=http://127.0.0.1:9\nOAUTH_AUDIENCE=eve\nATHENA_AFFILIATE=eve\n"
    )
}

/// A user with a profile, in the attacker's folder.
fn with_profile(good: &Server) -> Scene {
    let mut scene = Scene::new();
    scene
        .secret(Layer::Profile)
        .set(Layer::Profile, "OAUTH_CLIENT_ID", "me")
        .set(Layer::Profile, "ATHENA_AFFILIATE", "acme")
        .set(Layer::Profile, "OAUTH_AUTH_URL", &good.url());
    scene
}

#[test]
fn an_attackers_complete_file_does_not_replace_the_users_profile() {
    let (good, thief) = (Server::token_endpoint(), Server::token_endpoint());
    let mut scene = with_profile(&good);
    scene.dotenv = attackers_file(&thief.url());
    let run = scene.run(&["token"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(good.heard().contains(SECRET) && thief.heard().is_empty());
    let shown = scene.run(&["config", "show", "--json"]);
    let shown = &shown.json()[0];
    assert_eq!(shown["affiliate"]["value"], "acme");
    assert_eq!(shown["client_id"]["value"], "me");
    let note = shown["notes"][0].as_str().expect("a note");
    assert!(note.contains("the client secret comes from") && note.contains("--env-file .env"));
}

#[test]
fn the_users_own_file_sets_up_everything() {
    let good = Server::token_endpoint();
    let mut scene = Scene::new();
    scene.dotenv = attackers_file(&good.url());
    let run = scene.run(&["token"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    assert!(good.heard().contains("eve-eve"));
}

#[test]
fn a_file_that_says_the_same_deserves_no_words() {
    let good = Server::token_endpoint();
    let mut scene = Scene::new();
    scene.dotenv = attackers_file(&good.url());
    for line in scene.dotenv.clone().lines() {
        let (name, value) = line.split_once('=').expect("a line");
        scene.variables.insert(name.to_owned(), value.to_owned());
    }
    let run = scene.run(&["token"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
}

#[test]
fn the_working_folders_file_runs_nothing_and_steers_nothing_else() {
    let thief = Server::listener();
    let elsewhere = format!("http://{}", thief.address);
    for (name, value) in [
        ("ATHENA_CONFIG", "./x.toml"),
        ("ATHENA_PROFILE", "x"),
        ("XDG_CONFIG_HOME", "."),
        ("HOME", "."),
        ("PATH", "."),
        ("HTTPS_PROXY", &elsewhere),
        ("ALL_PROXY", &elsewhere),
        ("SSL_CERT_FILE", "./ca.pem"),
        ("ATHENA_CA_FILE", "./ca.pem"),
        ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "./ca.pem"),
        ("OAUTH_CLIENT_SECRET_COMMAND", "touch PWNED; echo s"),
        ("CLIENT_SECRET_COMMAND", "touch PWNED; echo s"),
    ] {
        let good = Server::token_endpoint();
        for secret in [Layer::Environment, Layer::Profile, Layer::WorkingFolder] {
            let mut scene = Scene::new();
            let text = "client_id = 'me'\naffiliate = 'a'\nclient_secret_command = 'touch PWNED; echo s'\n";
            for path in ["x.toml", "athena/config.toml", ".config/athena/config.toml"] {
                let path = scene.folder.path().join(path);
                std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
                let text = format!("[profiles.x]\n{text}[profiles.default]\n{text}");
                std::fs::write(path, text).expect("write");
            }
            scene
                .secret(secret)
                .set(secret, "OAUTH_CLIENT_ID", "me")
                .set(secret, "ATHENA_AFFILIATE", "acme")
                .set(secret, "OAUTH_AUTH_URL", &good.url());
            scene.dotenv += &format!("{name}={value}\n");
            let run = scene.run(&["token"]);
            assert_eq!(run.code, Some(0), "{name}, {secret:?}: {run:?}");
            assert!(good.heard().contains(SECRET), "{name}, {secret:?}");
            assert!(thief.heard().is_empty(), "{name}, {secret:?}");
            assert!(
                !scene.folder.path().join("PWNED").exists(),
                "{name}, {secret:?}"
            );
            if name.starts_with("ATHENA_") || name.starts_with("GRPC_") {
                assert!(run.stderr.contains(name), "{name}, {secret:?}: {run:?}");
            }
        }
    }
}

#[test]
fn nothing_is_expanded_from_the_process() {
    let good = Server::token_endpoint();
    let mut scene = Scene::new();
    scene.dotenv = attackers_file(&good.url()).replace("=eve\n", "=${SESSION_KEY}$SESSION_KEY\n");
    scene
        .variables
        .insert("SESSION_KEY".to_owned(), "stolen".to_owned());
    let run = scene.run(&["token"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let heard = good.heard();
    assert!(
        heard.contains("SESSION_KEY") && !heard.contains("stolen"),
        "{heard}"
    );
}

/// Runs in a folder with the file as the attacker wants it, and expects a note.
fn assert_not_read(why: &str, arrange: impl Fn(&Path)) {
    let thief = Server::token_endpoint();
    let mut scene = Scene::new();
    scene.secret(Layer::Environment);
    scene.variables.clear();
    let path = scene.folder.path().join(".env");
    std::fs::write(&path, attackers_file(&thief.url())).expect("write");
    arrange(scene.folder.path());
    let run = scene.run(&["token"]);
    assert_eq!(run.code, Some(3), "{why}: {run:?}");
    assert!(thief.heard().is_empty(), "{why}");
    assert!(
        run.stderr.contains("note: .env is ignored"),
        "{why}: {run:?}"
    );
    assert!(run.stderr.contains(why), "{why}: {run:?}");
    assert!(run.stderr.contains("--env-file .env"), "{why}: {run:?}");
    for arguments in [&["config", "show"][..], &["doctor"]] {
        let run = scene.run(arguments);
        let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains(".env is ignored") && words.contains(why),
            "{why}: {run:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_may_be_somebody_elses_is_not_read() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    let mode = |path: &Path, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).expect("chmod");
    };
    assert_not_read("everyone can write it", |folder| {
        mode(&folder.join(".env"), 0o666)
    });
    assert_not_read("its group can write it", |folder| {
        mode(&folder.join(".env"), 0o660)
    });
    assert_not_read("everyone can write its folder", |folder| {
        mode(folder, 0o777)
    });
    assert_not_read("everyone can write its folder", |folder| {
        mode(folder, 0o1777)
    });
    assert_not_read("it is a symbolic link", |folder| {
        std::fs::rename(folder.join(".env"), folder.join("real")).expect("rename");
        symlink("real", folder.join(".env")).expect("link");
    });
    assert_not_read("it is a symbolic link", |folder| {
        std::fs::remove_file(folder.join(".env")).expect("remove");
        symlink("/dev/zero", folder.join(".env")).expect("link");
    });
    assert_not_read("it is not a regular file", |folder| {
        std::fs::remove_file(folder.join(".env")).expect("remove");
        let made = std::process::Command::new("mkfifo")
            .arg(folder.join(".env"))
            .status();
        assert!(made.expect("mkfifo runs").success());
    });
    assert_not_read("more than 64 KiB", |folder| {
        let text = "#".repeat(100_000);
        std::fs::write(folder.join(".env"), text).expect("write");
    });
    // Only root can give files away.
    let probe = tempdir().expect("folder");
    if chown(probe.path(), Some(12_345), None).is_ok() {
        assert_not_read("it belongs to another user", |folder| {
            chown(folder.join(".env"), Some(12_345), None).expect("chown");
        });
        assert_not_read("its folder belongs to another user", |folder| {
            chown(folder, Some(12_345), None).expect("chown");
        });
    }
}

#[cfg(unix)]
#[test]
fn what_is_scanned_is_not_trusted() {
    for (target, why) in [
        (".", "it lies in a folder that is scanned"),
        ("..", "it lies in a folder that is scanned"),
        ("photos/..", "it lies in a folder that is scanned"),
        ("link", "it lies in a folder that is scanned"),
        ("ABSOLUTE", "it lies in a folder that is scanned"),
        ("--from=list", "the list of --from may name the folder"),
        ("photos", ""),
    ] {
        for command in [&["classify"][..], &["scan", "--output=/dev/null"]] {
            let thief = Server::token_endpoint();
            let parent = tempdir().expect("folder");
            let folder = parent.path().join("archive");
            archive(&folder, "photos", 1);
            std::fs::write(folder.join(".env"), attackers_file(&thief.url())).expect("write");
            std::fs::write(folder.join("list"), ".\n").expect("write");
            std::os::unix::fs::symlink(".", folder.join("link")).expect("link");
            let target = target.replace("ABSOLUTE", folder.to_str().expect("UTF-8"));
            let arguments = [command, &[target.as_str()]].concat();
            let run = run(athena(&folder, &arguments).env("HOME", "/nowhere"));
            if why.is_empty() {
                assert!(thief.heard().contains("eve-eve"), "{target}: {run:?}");
            } else {
                assert_eq!(run.code, Some(3), "{target}: {run:?}");
                assert!(run.stderr.contains(why), "{target}: {run:?}");
                assert!(thief.heard().is_empty(), "{target}");
            }
        }
    }
}

#[test]
fn a_file_in_a_parent_folder_is_not_looked_for() {
    let thief = Server::token_endpoint();
    let scene = Scene::new();
    std::fs::write(
        scene.folder.path().join(".env"),
        attackers_file(&thief.url()),
    )
    .expect("write");
    let below = scene.folder.path().join("below");
    std::fs::create_dir(&below).expect("folder");
    let run = run(athena(&below, &["token"]).env("HOME", scene.home.path()));
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(thief.heard().is_empty());
}

#[cfg(unix)]
#[test]
fn what_a_profile_names_is_beside_its_file_and_not_in_the_working_folder() {
    let good = Server::token_endpoint();
    for setting in [
        "client_secret_file = 'secret'",
        "client_secret_command = ['./get']",
        "client_secret_command = './get'",
    ] {
        let mut scene = with_profile(&good);
        scene.profile = format!(
            "client_id = 'me'\ntoken_url = '{}'\n{setting}\n",
            good.url()
        );
        let own = scene.home.path().join(".config/athena");
        for (folder, secret) in [(own.as_path(), SECRET), (scene.folder.path(), "eve-eve")] {
            std::fs::create_dir_all(folder).expect("folder");
            std::fs::write(folder.join("secret"), secret).expect("write");
            script(&folder.join("get"), &format!("#!/bin/sh\necho {secret}\n"));
        }
        scene.set(Layer::Profile, "ATHENA_AFFILIATE", "acme");
        let run = scene.run(&["token"]);
        assert_eq!(run.code, Some(0), "{setting}: {run:?}");
        assert!(good.heard().contains(SECRET), "{setting}");
        assert!(!good.heard().contains("eve-eve"), "{setting}");
    }
}

#[cfg(unix)]
fn script(path: &PathBuf, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("write");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
}

#[cfg(unix)]
#[test]
fn a_configuration_file_that_others_may_write_runs_nothing() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let scene = Scene::new();
    let path = scene.folder.path().join("config.toml");
    let text = "[profiles.default]\nclient_id = 'me'\naffiliate = 'a'\nclient_secret_command = 'touch PWNED; echo s'\n";
    std::fs::write(&path, text).expect("write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("chmod");
    let refused = scene.run(&["token", "--config=config.toml"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("everyone"), "{refused:?}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    // Only root can give files away.
    if chown(&path, Some(12_345), None).is_ok() {
        let refused = scene.run(&["token", "--config=config.toml"]);
        assert_eq!(refused.code, Some(3), "{refused:?}");
        assert!(refused.stderr.contains("another user"), "{refused:?}");
    }
    assert!(!scene.folder.path().join("PWNED").exists());
}

#[test]
fn relative_folders_of_configuration_are_no_folders() {
    let scene = Scene::new();
    let folder = scene.folder.path().join("athena");
    std::fs::create_dir_all(&folder).expect("folder");
    let text = "[profiles.default]\nclient_id = 'eve'\n";
    std::fs::write(folder.join("config.toml"), text).expect("write");
    let nested = scene.folder.path().join(".config/athena");
    std::fs::create_dir_all(&nested).expect("folder");
    std::fs::write(nested.join("config.toml"), text).expect("write");
    for (name, value) in [("XDG_CONFIG_HOME", "."), ("HOME", ".")] {
        let mut command = athena(scene.folder.path(), &["config", "show", "--json"]);
        let run = run(command.env(name, value));
        let shown = &run.json()[0];
        if name == "HOME" {
            assert!(
                shown["client_id"]["value"].is_null(),
                "{name}={value}: {run:?}"
            );
        } else {
            // HOME is the working folder in this test: what counts is that XDG_CONFIG_HOME does not.
            let source = shown["client_id"]["source"].as_str().expect("a source");
            assert!(source.contains("/.config/"), "{name}={value}: {run:?}");
        }
    }
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_the_others_hold() {
    let good = Server::token_endpoint();
    let mut scene = Scene::new();
    let text = attackers_file(&good.url()).replace('\n', "\r\n");
    let broken = "ATHENA_AFFILIATE=hunter3 hunter4\r\nhunter5\r\n";
    for named in [false, true] {
        let text = format!("\u{feff}{text}{broken}");
        match named {
            true => (scene.env_file, scene.dotenv) = (text, String::new()),
            false => scene.dotenv = text,
        }
        let run = scene.run(&["token"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stderr.contains("line 7: ATHENA_AFFILIATE"), "{run:?}");
        assert!(run.stderr.contains("line 8"), "{run:?}");
        assert!(!run.stderr.contains("hunter"), "{run:?}");
        assert!(good.heard().contains("eve-eve"));
    }
}
