use std::time::UNIX_EPOCH;

use athena_client::auth;
use pyo3::prelude::*;

use crate::convert::Seconds;
use crate::error;

/// A token, ready to be sent.
#[pyclass(frozen, module = "athena")]
pub(crate) struct Token(pub(crate) auth::Token);

#[pymethods]
impl Token {
    #[new]
    #[pyo3(signature = (secret, *, scheme = "Bearer", lifetime = None))]
    fn new(secret: String, scheme: &str, lifetime: Option<Seconds>) -> PyResult<Self> {
        let token =
            auth::Token::new(scheme, secret).map_err(|error| error::config("token", &error))?;
        Ok(Self(match lifetime {
            Some(Seconds(lifetime)) => token.with_lifetime(lifetime),
            None => token,
        }))
    }

    #[getter]
    fn scheme(&self) -> &str {
        self.0.scheme()
    }

    #[getter]
    fn lifetime(&self) -> Option<f64> {
        self.0.lifetime().map(|lifetime| lifetime.as_secs_f64())
    }

    #[getter]
    fn expires_at(&self) -> Option<f64> {
        let since = self.0.expires_at()?.duration_since(UNIX_EPOCH).ok()?;
        Some(since.as_secs_f64())
    }

    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    fn __repr__(&self) -> String {
        let lifetime = self.lifetime().map_or("None".to_owned(), |s| s.to_string());
        format!(
            "Token(scheme={:?}, secret=[redacted], lifetime={lifetime})",
            self.scheme()
        )
    }
}

/// A client secret and for how long its source need not be asked again.
#[pyclass(frozen, module = "athena")]
pub(crate) struct Secret(pub(crate) auth::Secret);

#[pymethods]
impl Secret {
    #[new]
    #[pyo3(signature = (text, *, valid_for = None))]
    fn new(text: String, valid_for: Option<Seconds>) -> Self {
        let secret = auth::Secret::trimmed(text);
        Self(match valid_for {
            Some(Seconds(lifetime)) => secret.valid_for(lifetime),
            None => secret,
        })
    }

    fn __repr__(&self) -> &'static str {
        "Secret([redacted])"
    }
}
