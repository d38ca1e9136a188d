//! The service's address as callers write it.

use athena_net::is_loopback;
use http::Uri;

use crate::error::BuildError;

/// Reads an endpoint, which may lack its scheme.
pub(crate) fn origin(endpoint: &str, plaintext: bool) -> Result<Uri, BuildError> {
    if endpoint.contains('@') {
        let problem = "holds credentials: they belong in a token source";
        return Err(BuildError::new("endpoint", problem));
    }
    let refuse = |problem: &str| BuildError::new("endpoint", format!("{endpoint:?} {problem}"));
    let text = endpoint.trim();
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let uri: Uri = url.parse().map_err(|error| {
        refuse("is not an address: give https://host:port or host:port").with_source(error)
    })?;
    let (Some(host), Some(scheme)) = (uri.host().filter(|host| !host.is_empty()), uri.scheme_str())
    else {
        return Err(refuse("names no host: give https://host:port or host:port"));
    };
    if uri
        .path_and_query()
        .is_some_and(|path| path.as_str() != "/")
    {
        return Err(refuse("has a path: only scheme, host and port are used"));
    }
    // `Uri` takes any digits for a port, and reads those that are none as no port at all.
    let has_port = uri.authority().is_some_and(|authority| {
        authority
            .as_str()
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.contains(']'))
    });
    if has_port && uri.port_u16().is_none_or(|port| port == 0) {
        return Err(refuse("has a port that is none: ports go from 1 to 65535"));
    }
    match scheme {
        "https" => {}
        "http" if plaintext || is_loopback(host) => {}
        "http" => {
            return Err(refuse(
                "would send images and tokens in the clear: use https, or `allow_plaintext`",
            ));
        }
        _ => return Err(refuse("has neither the scheme https nor http")),
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_with_and_without_a_scheme() {
        for (given, expected) in [
            ("api.example.com:443", "https://api.example.com:443/"),
            ("https://api.example.com/", "https://api.example.com/"),
            ("http://localhost:5000", "http://localhost:5000/"),
            ("http://[::1]:5000", "http://[::1]:5000/"),
            ("https://[::1]", "https://[::1]/"),
            ("http://LOCALHOST:5000", "http://LOCALHOST:5000/"),
        ] {
            assert_eq!(origin(given, false).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn endpoints_that_cannot_work_are_refused_with_the_reason() {
        for (given, reason) in [
            ("", "not an address"),
            ("https://", "not an address"),
            ("ftp://example.com", "neither the scheme"),
            ("http://example.com", "in the clear"),
            ("http://localhost.example.com", "in the clear"),
            ("https://example.com/v1", "has a path"),
            ("localhost:99999", "from 1 to 65535"),
            ("https://[::1]:99999", "from 1 to 65535"),
            ("localhost:0", "from 1 to 65535"),
            ("localhost:", "from 1 to 65535"),
            ("https://user:hunter2@example.com", "credentials"),
        ] {
            let error = origin(given, false).unwrap_err().to_string();
            assert!(error.contains(reason), "{given}: {error}");
            assert!(!error.contains("hunter2"));
        }
        assert!(origin("http://example.com", true).is_ok());
    }
}
