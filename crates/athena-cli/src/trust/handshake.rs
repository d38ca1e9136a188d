//! Why a TLS handshake failed, each reason with its own remedy.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::{CertificateError, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exit::Exit;
use crate::failure::{Failure, chain};

/// The longest wait for a server to show that it speaks plain HTTP.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the failed handshake means. `plain` says that the port has answered to plain HTTP.
pub(crate) fn failure(error: &io::Error, host: &str, port: u16, plain: bool) -> Failure {
    let unreachable =
        |cause: String, remedy: String| Failure::new(Exit::Unreachable, cause).remedy(remedy);
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    if plain {
        return unreachable(
            format!("port {port} speaks plain HTTP, not TLS"),
            "give the port for TLS; http:// in the address is for this machine only".to_owned(),
        );
    }
    let certificate = match tls {
        Some(Error::InvalidCertificate(certificate)) => certificate,
        Some(Error::InvalidMessage(_)) => {
            return unreachable(
                format!("port {port} answers, and not in TLS"),
                "give the port for TLS".to_owned(),
            );
        }
        Some(Error::AlertReceived(_) | Error::PeerIncompatible(_)) => {
            return unreachable(
                format!("no agreement on TLS: {}", chain(error)),
                "the server must speak TLS 1.2 or 1.3".to_owned(),
            );
        }
        _ => {
            return unreachable(
                format!("the handshake broke off: {}", chain(error)),
                "is it a TLS port? Does a firewall look inside?".to_owned(),
            );
        }
    };
    let now = day(SystemTime::now());
    match certificate {
        CertificateError::Expired => unreachable(
            "its certificate has expired".to_owned(),
            format!("its operator must renew it, unless this machine's clock is wrong: it says {now}"),
        ),
        CertificateError::ExpiredContext { not_after, .. } => unreachable(
            format!("its certificate has expired, on {}", day(UNIX_EPOCH + Duration::from_secs(not_after.as_secs()))),
            format!("its operator must renew it, unless this machine's clock is wrong: it says {now}"),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => unreachable(
            "its certificate is not valid yet".to_owned(),
            format!("set this machine's clock, which says {now}"),
        ),
        CertificateError::NotValidForName => wrong_name(host, &[]),
        CertificateError::NotValidForNameContext { presented, .. } => wrong_name(host, presented),
        CertificateError::UnknownIssuer => unreachable(
            "its certificate is from a CA that nobody here trusts".to_owned(),
            "if the service, or a proxy that looks inside, has a CA of its own, give it with --ca FILE"
                .to_owned(),
        ),
        CertificateError::Revoked => unreachable(
            "its certificate has been revoked".to_owned(),
            "its operator must replace it".to_owned(),
        ),
        _ => unreachable(
            format!("its certificate was not accepted: {}", chain(error)),
            "its operator must replace it, or give its CA with --ca FILE".to_owned(),
        ),
    }
}

fn wrong_name(host: &str, presented: &[String]) -> Failure {
    const SHOWN: usize = 4;
    // As rustls prints them: `DnsName("example.com")`.
    let names = presented.iter().map(|name| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest);
        inner.trim_end_matches(')').trim_matches('"')
    });
    let mut names: Vec<&str> = names.take(SHOWN + 1).collect();
    if names.len() > SHOWN {
        names[SHOWN] = "others";
    }
    let cause = match names.is_empty() {
        true => format!("its certificate is not for {host}"),
        false => format!(
            "its certificate is for {}, not for {host}",
            names.join(", ")
        ),
    };
    Failure::new(Exit::Unreachable, cause).remedy(
        "give the name that the certificate has, or ask its operator for one with this name",
    )
}

/// `2026-11-27`.
fn day(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// Whether the server answers a plain HTTP request.
pub(crate) async fn speaks_plain_http(host: &str, port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect((host, port)).await?;
        stream
            .write_all(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(answer == *b"HTTP/")
    };
    matches!(tokio::time::timeout(PATIENCE, ask).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    fn said(error: Error) -> String {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        failure(&error, "api.example.com", 443, false).to_string()
    }

    #[test]
    fn each_reason_has_a_remedy_of_its_own() {
        let certificate = |error| said(Error::InvalidCertificate(error));
        let time = UnixTime::since_unix_epoch;
        let expired = certificate(CertificateError::ExpiredContext {
            time: time(Duration::from_secs(2_000_000_000)),
            not_after: time(Duration::from_secs(1_000_000_000)),
        });
        assert!(expired.contains("expired, on 2001-09-09") && expired.contains("clock"));
        let wrong = certificate(CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("api.example.com").expect("a name"),
            presented: vec![
                "DnsName(\"a.example\")".to_owned(),
                "*.b.example".to_owned(),
            ],
        });
        let names = "its certificate is for a.example, *.b.example, not for api.example.com";
        assert!(wrong.starts_with(names), "{wrong}");
        let unknown = certificate(CertificateError::UnknownIssuer);
        assert!(unknown.contains("CA that nobody here trusts") && unknown.contains("--ca FILE"));
        let early = certificate(CertificateError::NotValidYet);
        assert!(early.contains("not valid yet") && early.contains("set this machine's clock"));
        let plain = said(Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType,
        ));
        assert!(
            plain.contains("port 443 answers, and not in TLS"),
            "{plain}"
        );
    }
}
