//! `--listen`: places, and what each of them asks for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use athena_gateway::Listener;
use tokio::net::TcpListener;

use super::{ServeArgs, systemd, tls};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path, as in unix:/run/athena/athena.sock".to_owned()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let text = text.replacen("localhost:", "127.0.0.1:", 1);
        text.parse().map(Self::Tcp).map_err(|_| {
            "expected ADDRESS:PORT, as in 127.0.0.1:8080 or [::1]:8080, or unix:/PATH".to_owned()
        })
    }
}

impl Place {
    /// Whether it is for this machine alone, or guarded as its reach demands.
    pub(super) fn check(&self, guarded: bool, encrypted: bool) -> Outcome<()> {
        let Self::Tcp(address) = self else {
            return Ok(());
        };
        if address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let refused = |what: &str, remedy: &str| {
            let cause = format!("--listen {address}: other machines can reach it {what}");
            Err(Failure::new(Exit::Usage, cause).remedy(remedy))
        };
        if !guarded {
            return refused("without a key", "use --keys FILE or --client-ca FILE");
        }
        if !encrypted {
            return refused(
                "without TLS",
                "use --tls-cert and --tls-key, or --plaintext where the network encrypts below",
            );
        }
        Ok(())
    }
}

/// The places of the flags, or the default.
pub(super) fn places(given: &[Place]) -> Vec<Place> {
    match given {
        [] => vec![Place::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080)))],
        given => given.to_vec(),
    }
}

/// The mode of a Unix socket: octal digits.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "expected an octal mode such as 600 or 660".to_owned())
}

/// Sockets that are listened at, and what callers call them.
pub(super) struct Bound {
    pub(super) listeners: Vec<Listener>,
    pub(super) urls: Vec<String>,
}

impl Bound {
    /// Takes the sockets that systemd has made, or else makes those of the flags.
    pub(super) async fn all(args: &ServeArgs, places: &[Place]) -> Outcome<Self> {
        let tls = tls(args)?;
        let mut bound = Self {
            listeners: Vec::new(),
            urls: Vec::new(),
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut add_tcp = |listener: TcpListener| -> std::io::Result<()> {
            let url = format!("{scheme}://{}", listener.local_addr()?);
            bound.listeners.push(match &tls {
                Some(tls) => Listener::tls(listener, tls.clone())?,
                None => Listener::tcp(listener)?,
            });
            bound.urls.push(url);
            Ok(())
        };
        let unusable = |what: String| {
            move |error: std::io::Error| {
                Failure::local(format!("cannot listen on {what}: {}", reason(&error)))
            }
        };
        let given = systemd::sockets().map_err(unusable("the sockets of systemd".to_owned()))?;
        if !given.is_empty() {
            for listener in given.tcp {
                let address = listener.local_addr();
                let address = address.map_err(unusable("a socket of systemd".to_owned()))?;
                let guarded = args.keys.is_some() || args.client_ca.is_some();
                let encrypted = args.tls_cert.is_some() || args.plaintext;
                Place::Tcp(address).check(guarded, encrypted)?;
                add_tcp(listener).map_err(unusable(address.to_string()))?;
            }
            #[cfg(unix)]
            for listener in given.unix {
                bound.listeners.push(Listener::from_unix(listener));
                bound.urls.push("unix:(systemd)".to_owned());
            }
            return Ok(bound);
        }
        let mut unix = Vec::new();
        for place in places {
            match place {
                Place::Tcp(address) => {
                    let listener = TcpListener::bind(address).await;
                    let added = listener.and_then(&mut add_tcp);
                    added.map_err(unusable(address.to_string()))?;
                }
                Place::Unix(path) => unix.push(path),
            }
        }
        for path in unix {
            #[cfg(unix)]
            {
                let listener = Listener::unix(path, args.socket_mode)
                    .map_err(unusable(path.display().to_string()))?;
                bound.listeners.push(listener);
                bound.urls.push(format!("unix:{}", path.display()));
            }
            #[cfg(not(unix))]
            return Err(Failure::new(
                Exit::Usage,
                format!("unix:{}: there are no Unix sockets here", path.display()),
            ));
        }
        Ok(bound)
    }
}

/// Every connection is an open file: as many as the system lets us have without asking anybody.
pub(super) fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            limit.current = limit.maximum;
            // What there is may do.
            let _ = setrlimit(Resource::Nofile, limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_addresses_or_sockets() {
        let tcp = |text: &str| Place::Tcp(text.parse().expect("address"));
        for (text, place) in [
            ("127.0.0.1:8080", tcp("127.0.0.1:8080")),
            ("localhost:1", tcp("127.0.0.1:1")),
            ("[::1]:8080", tcp("[::1]:8080")),
            ("unix:/run/a.sock", Place::Unix("/run/a.sock".into())),
        ] {
            assert_eq!(text.parse(), Ok(place));
        }
        for wrong in ["8080", "unix:", "example.com:80", ""] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_machines_need_a_key_and_tls() {
        let check = |text: &str, guarded, encrypted| {
            let place: Place = text.parse().expect("a place");
            place.check(guarded, encrypted).is_ok()
        };
        for local in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/a"] {
            assert!(check(local, false, false), "{local}");
        }
        for other in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
            assert!(!check(other, false, true) && !check(other, true, false));
            assert!(check(other, true, true));
        }
    }
}
