//! Where the server is, and one request to it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use athena_net::{Identity, Network};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::ServerArgs;
use crate::bounded;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain, reason};
use crate::trust::handshake;

/// The longest answer: a record is far shorter.
const MOST_ANSWER: u64 = 4 << 20;
/// The largest file of certificates.
const MOST_CERTIFICATES: u64 = 1 << 20;

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    name: String,
    place: Place,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Http(Address),
    Https(Address),
    Unix(PathBuf),
}

#[derive(Debug, PartialEq, Eq)]
struct Address {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
}

impl Server {
    pub(super) fn parse(name: &str) -> Outcome<Self> {
        let place = Place::parse(name).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("--server: {name:?} is not an address"))
                .remedy("use http://HOST:PORT, https://HOST:PORT or unix:/PATH")
        })?;
        let name = name.to_owned();
        Ok(Self { name, place })
    }

    /// As the user named it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// For the header `Host`.
    pub(super) fn host(&self) -> String {
        match &self.place {
            Place::Unix(_) => "localhost".to_owned(),
            Place::Http(Address { host, port }) | Place::Https(Address { host, port }) => {
                match host.contains(':') {
                    true => format!("[{host}]:{port}"),
                    false => format!("{host}:{port}"),
                }
            }
        }
    }

    /// Whether nobody on the way can read what is sent.
    pub(super) fn is_private(&self) -> bool {
        match &self.place {
            Place::Unix(_) | Place::Https(_) => true,
            Place::Http(Address { host, .. }) => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }

    /// Sends the request, and reads whatever comes back until the connection ends.
    pub(super) fn ask(
        &self,
        args: &ServerArgs,
        patience: Duration,
        head: &str,
        image: &[u8],
    ) -> Outcome<Vec<u8>> {
        match &self.place {
            Place::Http(address) => {
                let stream = address.connect(patience);
                stream.and_then(|stream| talk(stream, head, image))
            }
            Place::Https(address) => {
                let network = network(args)?;
                let stream = address
                    .connect(patience)
                    .map_err(|e| self.unreachable(&e))?;
                let stream = address.secure(stream, &network)?;
                talk(stream, head, image)
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                connect_unix(path, patience).and_then(|stream| talk(stream, head, image))
            }
            #[cfg(not(unix))]
            Place::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
        .map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        Failure::new(
            Exit::Unreachable,
            format!("{}: {}", self.name, reason(error)),
        )
        .remedy("is `athena serve` running there? --server names another place")
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("unix", path) => Some(Self::Unix(path.into())),
            ("http", place) => Address::parse(place, 80).map(Self::Http),
            ("https", place) => Address::parse(place, 443).map(Self::Https),
            _ => None,
        }
    }
}

impl Address {
    /// From `//HOST[:PORT]`.
    fn parse(text: &str, usual_port: u16) -> Option<Self> {
        let place = text.strip_prefix("//")?.trim_end_matches('/');
        if place.contains(['/', '@', '?', '#']) {
            return None;
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (place, usual_port),
        };
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host).to_owned();
        (!host.is_empty()).then_some(Self { host, port })
    }

    fn connect(&self, patience: Duration) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(patience))?;
                    stream.set_write_timeout(Some(patience))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The same, encrypted, with the server that the address names.
    fn secure(
        &self,
        mut stream: TcpStream,
        network: &Network,
    ) -> Outcome<StreamOwned<ClientConnection, TcpStream>> {
        let Self { host, port } = self;
        let name = ServerName::try_from(host.clone()).map_err(|_| {
            Failure::new(Exit::Usage, format!("--server: {host} is not a host name"))
        })?;
        let mut connection = ClientConnection::new(network.tls(), name)
            .map_err(|error| Failure::configuration(chain(&error)))?;
        while connection.is_handshaking() {
            let handled = connection.complete_io(&mut stream);
            handled.map_err(|error| handshake::failure(&error, host, *port, false))?;
        }
        Ok(StreamOwned::new(connection, stream))
    }
}

#[cfg(unix)]
fn connect_unix(
    path: &std::path::Path,
    patience: Duration,
) -> io::Result<std::os::unix::net::UnixStream> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// Whom to trust, and what to show. A server of one's own stands behind no proxy.
fn network(args: &ServerArgs) -> Outcome<Network> {
    let mut builder = Network::builder().no_proxy();
    if let Some(path) = &args.ca {
        let file = std::fs::File::open(path);
        let read = file.and_then(|file| bounded::read(file, MOST_CERTIFICATES));
        let pem = read.map_err(|error| {
            Failure::configuration(format!("--ca {}: {}", path.display(), reason(&error)))
        })?;
        builder = builder.ca_certificate(&*pem);
    }
    let unusable = |error| Failure::configuration(chain(&error));
    if let (Some(certificate), Some(key)) = (&args.client_cert, &args.client_key) {
        let identity = Identity::from_files(certificate, key).map_err(unusable)?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(unusable)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_address_or_path() {
        let address = |host: &str, port| Address {
            host: host.to_owned(),
            port,
        };
        for (text, place) in [
            ("unix:/run/a.sock", Place::Unix("/run/a.sock".into())),
            ("http://localhost", Place::Http(address("localhost", 80))),
            ("http://[::1]:8080/", Place::Http(address("::1", 8080))),
            ("http://[::1]", Place::Http(address("::1", 80))),
            ("https://a.example", Place::Https(address("a.example", 443))),
            (
                "https://a.example:8443",
                Place::Https(address("a.example", 8443)),
            ),
        ] {
            assert_eq!(Place::parse(text).as_ref(), Some(&place), "{text}");
        }
        for text in [
            "",
            "localhost:8080",
            "http:localhost",
            "http://",
            "https://:1",
            "http://a:b",
            "http://a/path",
            "http://user@a",
            "ftp://a",
        ] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_may_go_where_nobody_reads_it() {
        let private = |name| Server::parse(name).expect("a server").is_private();
        for name in [
            "unix:a",
            "http://127.0.0.1:1",
            "http://[::1]",
            "https://a.example",
        ] {
            assert!(private(name), "{name}");
        }
        for name in [
            "http://a.example",
            "http://127.0.0.1.a.example",
            "http://192.0.2.1",
        ] {
            assert!(!private(name), "{name}");
        }
    }
}
