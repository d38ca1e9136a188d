//! `athena ask`: one image to a running `athena serve`, for scripts. It makes no client of the service, no
//! runtime and no threads: what it costs is a connection.

mod answer;
mod server;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use athena_outcome::Decision;
use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use self::answer::Answer;
use self::server::Server;
use crate::bounded;
use crate::config::duration;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line, reason};
use crate::input::Input;
use crate::output::write_json;

const EXAMPLES: &str = "\
Examples:
  athena ask upload.jpg && mv upload.jpg public/        Only what the policy allows
  athena ask --json upload.jpg | jq .why
  athena ask --server unix:/run/athena/athena.sock -    An image on standard input
  athena ask --server https://athena.internal:8443 --ca ca.pem --key-file key upload.jpg

Exit codes: 0 allow, 10 block, 11 review, 1 no verdict and no decision, 3 the server has no policy,
4 the key is refused, 5 the server cannot be reached or is full, 8 the file cannot be read";

/// The largest file that is sent.
const MOST_BYTES: u64 = 256 << 20;
/// The longest file with a key. The keys that `athena serve` makes have 71 characters.
const MOST_KEY: u64 = 1024;
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
    #[command(flatten)]
    server: ServerArgs,
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

/// Where the server is, and who asks it.
#[derive(Args, Debug)]
struct ServerArgs {
    /// The server: http://HOST:PORT on this machine, https://HOST:PORT, or unix:/PATH
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
    /// CA (PEM) to trust beside the usual ones, for https
    #[arg(long, value_name = "FILE", env = "ATHENA_SERVER_CA_FILE")]
    ca: Option<PathBuf>,
    /// Certificate (PEM) to show to the server, for https
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Private key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

/// What a prober wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Probe {
    Live,
    Ready,
}

pub(crate) fn run(args: &AskArgs) -> Outcome {
    let server = Server::parse(&args.server.server)?;
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
    let host = server.host();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = server.ask(&args.server, args.timeout + MARGIN, &head, &[])?;
    match Answer::parse(&answer) {
        Some(Answer { status: 200, .. }) => Ok(Exit::Done),
        Some(answer) => {
            let body = one_line(String::from_utf8_lossy(answer.body).trim_end());
            let cause = format!("{}: {} {body}", server.name(), answer.status);
            Err(Failure::new(Exit::Unreachable, cause))
        }
        None => Err(no_http(server, &answer)),
    }
}

/// The beginning of an alert (RFC 8446, sections 5.1 and 6): how TLS answers what is none.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

fn no_http(server: &Server, answer: &[u8]) -> Failure {
    let server = server.name();
    match answer.starts_with(&TLS_ALERT) {
        true => Failure::new(Exit::Unreachable, format!("{server}: the port speaks TLS"))
            .remedy("use https:// in --server"),
        false => Failure::new(Exit::Service, format!("{server}: the answer is not HTTP")),
    }
}

fn judge(args: &AskArgs, server: &Server, file: &Path) -> Outcome {
    let image = read_image(file)?;
    let head = head(args, server, image.len())?;
    let answer = server.ask(&args.server, args.timeout + MARGIN, &head, &image)?;
    let answer = Answer::parse(&answer).ok_or_else(|| no_http(server, &answer))?;
    let record = answer.record(server.name())?;
    let decision = record.decision.ok_or_else(|| {
        let cause = match &record.error {
            Some(error) => format!("{}: {}", file.display(), error.message),
            None => format!("{} has no policy", server.name()),
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
    let bytes = Input::of(path.to_owned())
        .read(MOST_BYTES)
        .map_err(|error| Failure::local(format!("cannot read {name}: {}", reason(&error))))?;
    match bytes.len() as u64 {
        0 => Err(Failure::local(format!("{name} is empty"))),
        length if length > MOST_BYTES => Err(Failure::local(format!(
            "{name} has more than {MOST_BYTES} bytes"
        ))),
        _ => Ok(bytes),
    }
}

fn head(args: &AskArgs, server: &Server, length: usize) -> Outcome<Zeroizing<String>> {
    let mut head = Zeroizing::new(String::with_capacity(1024));
    let hash_only = if args.hash_only {
        "&hash_only=true"
    } else {
        ""
    };
    let host = server.host();
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
    if let Some(path) = &args.server.key_file {
        if !server.is_private() {
            let cause = "--key-file: the key would travel in the clear to another machine";
            return Err(Failure::new(Exit::Usage, cause).remedy("use https://"));
        }
        let read = File::open(path).and_then(|file| bounded::read(file, MOST_KEY));
        let key = read.map_err(|error| {
            let cause = format!(
                "cannot read the key from {}: {}",
                path.display(),
                reason(&error)
            );
            Failure::configuration(cause)
        })?;
        // What is not text is refused like other characters that no key has.
        let key = std::str::from_utf8(&key).unwrap_or_default();
        add("--key-file", "Authorization: Bearer ", key.trim_ascii())?;
    }
    *head += "\r\n";
    Ok(head)
}
