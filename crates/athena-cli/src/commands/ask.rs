//! `athena ask`: one image to a running `athena serve`, for scripts. It makes no client of the service, no
//! runtime and no threads: what it costs is a connection on this machine.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use athena_outcome::{Decision, Record};
use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use crate::config::duration;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line, reason};
use crate::output::write_json;

const EXAMPLES: &str = "\
Examples:
  athena ask upload.jpg && mv upload.jpg public/        Only what the policy allows
  athena ask --json upload.jpg | jq .why
  athena ask --server unix:/run/athena/athena.sock -    An image on standard input

Exit codes: 0 allow, 10 block, 11 review, 1 no verdict and no decision, 3 the server has no policy,
4 the key is refused, 5 the server cannot be reached or is full, 8 the file cannot be read";

/// The largest file that is sent.
const MOST_BYTES: u64 = 256 << 20;
/// The longest answer: a record is far shorter.
const MOST_ANSWER: u64 = 4 << 20;
/// How much longer than the image may take the answer may.
const MARGIN: Duration = Duration::from_secs(5);

/// Ask a running server about one image; the exit code is its decision
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AskArgs {
    /// The image; `-` for standard input
    #[arg(required_unless_present = "probe")]
    file: Option<PathBuf>,
    /// Ask whether the server is alive, or ready for work, instead: exit code 0 or 5
    #[arg(long, value_name = "WHAT", value_enum, conflicts_with = "file")]
    probe: Option<Probe>,
    /// The server: http://HOST:PORT on this machine, or unix:/PATH
    #[arg(
        long,
        value_name = "WHERE",
        env = "ATHENA_SERVER",
        default_value = "http://127.0.0.1:8080"
    )]
    server: String,
    /// File with the key for the server
    #[arg(long, value_name = "FILE", env = "ATHENA_SERVER_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// Affiliate on whose behalf it is sent
    #[arg(long, value_name = "ID")]
    affiliate: Option<String>,
    /// Name of the image: asked again by the same name, it is not sent again
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Look its hashes up, and send no pixels
    #[arg(long)]
    hash_only: bool,
    /// Longest wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,
    /// Print the outcome record
    #[arg(long)]
    json: bool,
}

/// What a prober wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Probe {
    Live,
    Ready,
}

pub(crate) fn run(args: &AskArgs) -> Outcome {
    let server = Server::parse(&args.server)?;
    match (&args.file, args.probe) {
        (_, Some(what)) => probe(args, &server, what),
        (Some(file), None) => judge(args, &server, file),
        (None, None) => Err(Failure::new(Exit::Usage, "there is no image to ask about")),
    }
}

fn probe(args: &AskArgs, server: &Server, what: Probe) -> Outcome {
    let path = match what {
        Probe::Live => "/livez",
        Probe::Ready => "/readyz",
    };
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = ask(server, args.timeout + MARGIN, &head, &[])
        .map_err(|error| unreachable(&args.server, &reason(&error)))?;
    match Answer::parse(&answer) {
        Some(Answer { status: 200, .. }) => Ok(Exit::Done),
        Some(answer) => {
            let body = one_line(String::from_utf8_lossy(answer.body).trim_end());
            let cause = format!("{}: {} {body}", args.server, answer.status);
            Err(Failure::new(Exit::Unreachable, cause))
        }
        None => Err(no_http(&args.server)),
    }
}

fn no_http(server: &str) -> Failure {
    Failure::new(Exit::Service, format!("{server}: the answer is no HTTP"))
}

fn judge(args: &AskArgs, server: &Server, file: &Path) -> Outcome {
    let image = read_image(file)?;
    let head = head(args, server, image.len())?;
    let answer = ask(server, args.timeout + MARGIN, &head, &image)
        .map_err(|error| unreachable(&args.server, &reason(&error)))?;
    let answer = Answer::parse(&answer).ok_or_else(|| no_http(&args.server))?;
    let record = answer.record(&args.server)?;
    let decision = record.decision.ok_or_else(|| {
        let cause = match &record.error {
            Some(error) => format!("{}: {}", file.display(), error.message),
            None => format!("{} has no policy", args.server),
        };
        let (exit, remedy) = match record.error {
            Some(_) => (
                Exit::SomeFailed,
                "there is no verdict, and no policy decides about that",
            ),
            None => (Exit::Configuration, "start it with --policy FILE"),
        };
        Failure::new(exit, cause).remedy(remedy)
    });
    if args.json {
        let mut out = io::stdout().lock();
        write_json(&record, &mut out).map_err(|error| Failure::output(&error))?;
    }
    let decision = decision?;
    if !args.json {
        let why = record.why.as_deref().unwrap_or("");
        let file = one_line(&file.to_string_lossy());
        writeln!(io::stdout(), "{file}: {decision} ({})", one_line(why))
            .map_err(|error| Failure::output(&error))?;
    }
    Ok(match decision {
        Decision::Allow => Exit::Done,
        Decision::Review => Exit::Review,
        Decision::Block => Exit::Threshold,
    })
}

fn read_image(path: &Path) -> Outcome<Vec<u8>> {
    let name = path.display();
    let unreadable =
        |error: io::Error| Failure::local(format!("cannot read {name}: {}", reason(&error)));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| {
            let length = file.metadata()?.len().min(MOST_BYTES);
            bytes.reserve_exact(length as usize + 1);
            file.take(MOST_BYTES + 1).read_to_end(&mut bytes)
        })
    }
    .map_err(unreadable)?;
    match bytes.len() as u64 {
        0 => Err(Failure::local(format!("{name} is empty"))),
        length if length > MOST_BYTES => Err(Failure::local(format!(
            "{name} has more than {MOST_BYTES} bytes"
        ))),
        _ => Ok(bytes),
    }
}

/// Where the server is.
#[derive(Debug, PartialEq, Eq)]
enum Server {
    Tcp(String),
    Unix(PathBuf),
}

impl Server {
    fn parse(text: &str) -> Outcome<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let place = text
            .strip_prefix("http://")
            .map(|place| place.trim_end_matches('/'));
        match place {
            Some(place) if !place.is_empty() && !place.contains(['/', '@', '?']) => {
                let port = place
                    .rsplit_once(':')
                    .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
                Ok(Self::Tcp(if port {
                    place.to_owned()
                } else {
                    format!("{place}:80")
                }))
            }
            _ => Err(
                Failure::new(Exit::Usage, format!("--server: {text:?} is no address"))
                    .remedy("use http://HOST:PORT or unix:/PATH"),
            ),
        }
    }

    /// Whether what is sent stays on this machine.
    fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(place) => place.rsplit_once(':').is_some_and(|(host, _)| {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }),
        }
    }
}

fn head(args: &AskArgs, server: &Server, length: usize) -> Outcome<Zeroizing<String>> {
    let mut head = Zeroizing::new(String::with_capacity(1024));
    let hash_only = if args.hash_only {
        "&hash_only=true"
    } else {
        ""
    };
    let host = match server {
        Server::Tcp(place) => place.as_str(),
        Server::Unix(_) => "localhost",
    };
    *head += &format!(
        "POST /v1/classify?timeout={}{hash_only} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n",
        args.timeout.as_secs_f64()
    );
    let mut add = |flag: &str, name: &str, value: &str| {
        if value.is_empty() || !value.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
            let cause = format!("{flag}: expected printable ASCII without spaces");
            return Err(Failure::new(Exit::Usage, cause));
        }
        *head += name;
        *head += value;
        *head += "\r\n";
        Ok(())
    };
    if let Some(affiliate) = &args.affiliate {
        add("--affiliate", "Athena-Affiliate: ", affiliate)?;
    }
    if let Some(id) = &args.id {
        add("--id", "Idempotency-Key: ", id)?;
    }
    if let Some(path) = &args.key_file {
        if !server.is_local() {
            let cause = "--key-file: the key would travel in the clear to another machine";
            return Err(Failure::new(Exit::Usage, cause).remedy("ask a server on this machine"));
        }
        let mut key = Zeroizing::new(String::with_capacity(256));
        let read = File::open(path).and_then(|file| file.take(200).read_to_string(&mut key));
        read.map_err(|error| {
            let cause = format!(
                "cannot read the key from {}: {}",
                path.display(),
                reason(&error)
            );
            Failure::configuration(cause)
        })?;
        add("--key-file", "Authorization: Bearer ", key.trim_ascii())?;
    }
    *head += "\r\n";
    Ok(head)
}

/// Sends the request, and reads whatever comes back until the connection ends.
fn ask(server: &Server, patience: Duration, head: &str, image: &[u8]) -> io::Result<Vec<u8>> {
    match server {
        Server::Tcp(place) => {
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in place.to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, patience) {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        stream.set_read_timeout(Some(patience))?;
                        stream.set_write_timeout(Some(patience))?;
                        return talk(stream, head, image);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        #[cfg(unix)]
        Server::Unix(path) => {
            let stream = std::os::unix::net::UnixStream::connect(path)?;
            stream.set_read_timeout(Some(patience))?;
            stream.set_write_timeout(Some(patience))?;
            talk(stream, head, image)
        }
        #[cfg(not(unix))]
        Server::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn talk(mut stream: impl Read + Write, head: &str, image: &[u8]) -> io::Result<Vec<u8>> {
    // A server that refuses may answer and close before it has read everything.
    let sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(image))
        .and_then(|()| stream.flush());
    let mut answer = Vec::new();
    let read = stream.take(MOST_ANSWER).read_to_end(&mut answer);
    if answer.is_empty() {
        sent?;
        read?;
    }
    Ok(answer)
}

/// What the server has answered.
struct Answer<'a> {
    status: u16,
    body: &'a [u8],
}

impl<'a> Answer<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut words = head.lines().next()?.split(' ');
        words
            .next()
            .filter(|version| version.starts_with("HTTP/1."))?;
        let status = words.next()?.parse().ok()?;
        let length = head.lines().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let body = &bytes[end + 4..];
        // An answer that breaks off is none.
        (body.len() == length.unwrap_or(0)).then_some(Self { status, body })
    }

    /// The record, be it the body or inside a problem.
    fn record(&self, server: &str) -> Outcome<Record> {
        let value: serde_json::Value = serde_json::from_slice(self.body).unwrap_or_default();
        let record = value.get("outcome").unwrap_or(&value);
        if record
            .get("status")
            .is_some_and(serde_json::Value::is_string)
        {
            return serde_json::from_value(record.clone()).map_err(|error| {
                Failure::new(
                    Exit::Service,
                    format!("{server}: no outcome record: {error}"),
                )
            });
        }
        let detail = value.get("detail").and_then(serde_json::Value::as_str);
        let detail = one_line(detail.unwrap_or("no outcome record"));
        let exit = match self.status {
            401 | 403 => Exit::Refused,
            429 | 503 => Exit::Unreachable,
            400..=499 => Exit::Usage,
            _ => Exit::Service,
        };
        Err(Failure::new(
            exit,
            format!("{server}: {} {detail}", self.status),
        ))
    }
}

fn unreachable(server: &str, why: &str) -> Failure {
    Failure::new(Exit::Unreachable, format!("{server}: {why}"))
        .remedy("is `athena serve` running there? --server names another place")
}
