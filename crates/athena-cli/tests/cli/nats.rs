//! A real nats-server, where there is one.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Run, athena, run};

/// The server's program: `ATHENA_NATS_SERVER`, or the one in the path.
fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ATHENA_NATS_SERVER") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
    found.find(|path| path.is_file())
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    listener.local_addr().expect("address").port()
}

pub(crate) struct NatsServer {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl NatsServer {
    /// None, and says so, where there is no nats-server.
    pub(crate) fn start(folder: &Path, authorization: &str) -> Option<Self> {
        Self::start_at(free_port(), folder, authorization)
    }

    /// Kills it as a power failure would, and starts it with what it has kept.
    pub(crate) fn start_again(self, folder: &Path) -> Self {
        let port = self.port;
        drop(self);
        Self::start_at(port, folder, "").expect("it was there before")
    }

    fn start_at(port: u16, folder: &Path, authorization: &str) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("SKIPPED: no nats-server; ATHENA_NATS_SERVER names one");
            return None;
        };
        let store = folder.join("js");
        let config = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\" }}\n{authorization}\n",
            store.display()
        );
        std::fs::write(folder.join("nats.conf"), config).expect("write");
        let child = Command::new(program)
            .arg("-c")
            .arg(folder.join("nats.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "nats-server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, port })
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn athena(&self, folder: &Path, arguments: &[&str]) -> Run {
        run(athena(folder, arguments).env("NATS_URL", self.url()))
    }
}
