//! Running the real binary, with an environment of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// `athena` with these arguments, in an empty environment and the given folder.
pub(crate) fn athena(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_athena"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        // Where coverage is measured, it is that of the binary.
        .envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)))
        .stdin(Stdio::null());
    command
}

/// What a run has left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Every line of standard output as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub(crate) fn run(command: &mut Command) -> Run {
    command.output().expect("the binary runs").into()
}

/// Runs `athena` in the folder to its end.
pub(crate) fn athena_in(folder: &Path, arguments: &[&str]) -> Run {
    run(&mut athena(folder, arguments))
}

pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// The lines by their path; a path that comes twice fails the test.
pub(crate) fn by_path(lines: &[Value]) -> BTreeMap<String, Value> {
    let mut map = BTreeMap::new();
    for line in lines {
        let path = line["path"].as_str().expect("path").to_owned();
        assert!(
            map.insert(path.clone(), line.clone()).is_none(),
            "{path} comes twice"
        );
    }
    map
}

/// The pictures of the examples.
pub(crate) fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/images")
}

/// A picture of 16 x 16 pixels in one colour: a BMP of 24 bits.
pub(crate) fn bmp(number: u32) -> Vec<u8> {
    const SIDE: u32 = 16;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(b"BM");
    for word in [
        54 + SIDE * SIDE * 3,
        0,
        54,
        40,
        SIDE,
        SIDE,
        0x0018_0001,
        0,
        0,
        0,
        0,
        0,
        0,
    ] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    let pixel = number.wrapping_mul(2_654_435_761).to_le_bytes();
    for _ in 0..SIDE * SIDE {
        bytes.extend_from_slice(&pixel[..3]);
    }
    bytes
}

/// A folder `name` with so many different pictures.
pub(crate) fn archive(folder: &Path, name: &str, pictures: u32) {
    let archive = folder.join(name);
    std::fs::create_dir_all(&archive).expect("folder");
    for number in 0..pictures {
        let path = archive.join(format!("{number:04}.bmp"));
        std::fs::write(path, bmp(number)).expect("write");
    }
}

/// Sends a signal, by its name.
#[cfg(unix)]
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success());
}

/// Waits until the file has so many lines, or the process is gone.
pub(crate) fn wait_for_lines(child: &mut Child, path: &Path, lines: usize) {
    loop {
        let bytes = std::fs::read(path).unwrap_or_default();
        if bytes.iter().filter(|byte| **byte == b'\n').count() >= lines {
            return;
        }
        if let Some(status) = child.try_wait().expect("wait") {
            panic!("ended with {status} before {lines} lines were written");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The emulator's process, with its variables in the file `emulator.env`.
pub(crate) struct EmulatorProcess(pub(crate) Child);

impl EmulatorProcess {
    /// Starts `athena emulator` on free ports and waits until it is ready.
    pub(crate) fn start(folder: &Path, more: &[&str]) -> (Self, Value) {
        use std::io::BufRead;
        let mut arguments = vec!["emulator", "--env-file=emulator.env", "--json"];
        for port in ["--port=0", "--token-port=0", "--admin-port=0"] {
            let (flag, _) = port.split_once("=0").expect("a flag");
            if !more.iter().any(|given| given.starts_with(flag)) {
                arguments.push(port);
            }
        }
        arguments.extend(more);
        let mut child = athena(folder, &arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("piped");
        let mut line = String::new();
        std::io::BufReader::new(stdout)
            .read_line(&mut line)
            .expect("one line");
        let ready = serde_json::from_str(&line).expect("JSON");
        (Self(child), ready)
    }

    /// The figures of the admin API, at the address that `ready` names.
    pub(crate) fn stats(&self, ready: &Value) -> Value {
        let answer = self.admin(ready, "GET /stats", "");
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no JSON: {answer}"))
    }

    /// Has the emulator do something wrong from now on, or nothing any more (`{}`).
    pub(crate) fn set_faults(&self, ready: &Value, faults: &str) {
        self.admin(ready, "PUT /faults", faults);
    }

    /// The body of the admin API's answer, which must be a good one.
    pub(crate) fn admin(&self, ready: &Value, request: &str, body: &str) -> String {
        use std::io::{Read, Write};
        let url = ready["admin_url"].as_str().expect("URL");
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = std::net::TcpStream::connect(address).expect("the admin API listens");
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 2"), "{request}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        body.to_owned()
    }
}

impl Drop for EmulatorProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
