//! HTTP requests with reqwest, by the rules of a network.

use std::error::Error;
use std::sync::Arc;

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::redirect;

use crate::{Network, Proxy};

impl Network {
    /// A client for HTTP requests. It follows no redirects: those of a service that was given
    /// credentials are the caller's to judge.
    ///
    /// TLS comes ready made, so that no crypto provider must be installed for the whole process.
    pub async fn http_client(&self) -> reqwest::ClientBuilder {
        let tls = Arc::unwrap_or_clone(self.ready_tls().await);
        let network = self.clone();
        let proxy = reqwest::Proxy::custom(move |target| {
            let target: Uri = target.as_str().parse().ok()?;
            network.proxy_for(&target).map(url)
        });
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .connect_timeout(self.connect_timeout())
            .proxy(proxy)
    }
}

fn url(proxy: &Proxy) -> String {
    let scheme = if proxy.is_encrypted() {
        "https"
    } else {
        "http"
    };
    let credentials = proxy.credentials().map_or_else(String::new, |found| {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        format!("{}:{}@", encode(&found.user), encode(&found.password))
    });
    format!("{scheme}://{credentials}{}", proxy.address())
}

/// Why a connection cannot be made, where another attempt would end in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The proxy wants credentials, or others.
    ProxyCredentials,
    /// The server's certificate, or the proxy's, is not accepted.
    Certificate,
    /// Server and client have no version or no algorithm of TLS in common, or the port speaks
    /// something else.
    Tls,
}

/// Finds the refusal among an error's causes.
pub fn refusal(error: &(dyn Error + 'static)) -> Option<Refusal> {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(_)) => return Some(Refusal::Certificate),
            Some(_) => return Some(Refusal::Tls),
            None => {}
        }
        // The type of hyper-util's error is not public.
        if error.to_string() == "tunnel error: proxy authorization required" {
            return Some(Refusal::ProxyCredentials);
        }
        // An IO error shows the source of what it wraps, not the wrapped error itself.
        next = match error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
