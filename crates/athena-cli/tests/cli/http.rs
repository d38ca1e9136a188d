//! `athena serve`, and a caller that speaks HTTP by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A server of images. Killed when it is dropped, as if its machine had gone.
pub(crate) struct Serve {
    pub(crate) child: Child,
    /// Its first place, as it has said it.
    pub(crate) url: String,
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serve {
    /// Of a command that is `athena serve --json …`. What it says besides is kept for [`child`](Self::child).
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("one line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let url = ready["urls"][0].as_str().expect("a place").to_owned();
        Self { child, url }
    }

    /// Host and port of one that is asked in the clear.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// A body that is text.
    pub(crate) fn text(&self, path: &str) -> String {
        text(self.address(), path).expect("an answer")
    }

    /// The status, and the body as JSON.
    pub(crate) fn request(&self, line: &str, headers: &str, body: &[u8]) -> (u16, Value) {
        let mut connection = TcpStream::connect(self.address()).expect("a connection");
        let head = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).expect("sent");
        connection.write_all(body).expect("sent");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head[9..12].parse().expect("a status");
        (status, serde_json::from_str(body).expect("JSON"))
    }
}

/// The text under a path; none while nobody answers.
pub(crate) fn text(address: &str, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect(address).ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}
