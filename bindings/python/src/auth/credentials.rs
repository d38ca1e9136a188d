use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use athena_client::auth::{
    self, ClientAuthentication, NetworkBuilder, OAuthBuilder, SecretFile, Timing, TokenSource,
};
use athena_client::environment;
use pyo3::prelude::*;

use super::{Home, Secret, Source, Token};
use crate::convert::{Pem, Seconds};
use crate::error;
use crate::operation::Operation;
use crate::runtime::Owned;

/// Tokens by the OAuth 2.0 client-credentials grant, shared by all clients that are given this object.
#[pyclass(frozen, module = "athena")]
pub(crate) struct OAuthClientCredentials {
    settings: Settings,
    home: Arc<Home>,
    source: Owned<OnceLock<auth::OAuthClientCredentials>>,
}

struct Settings {
    client_id: String,
    secret: SecretFrom,
    token_url: Option<String>,
    audience: Option<String>,
    scopes: Vec<String>,
    parameters: BTreeMap<String, String>,
    basic: bool,
    allow_plaintext: bool,
    ca_certificate: Option<Pem>,
    proxy: Option<String>,
    refresh_before: Option<Duration>,
    patience: Option<Duration>,
}

enum SecretFrom {
    Text(auth::Secret),
    File(PathBuf),
    Function(Source),
}

impl SecretFrom {
    fn new(secret: &Bound<'_, PyAny>, home: &Arc<Home>) -> PyResult<Self> {
        if let Ok(text) = secret.extract::<String>() {
            return Ok(Self::Text(auth::Secret::new(text)));
        }
        if let Ok(secret) = secret.cast::<Secret>() {
            return Ok(Self::Text(secret.get().0.clone()));
        }
        if secret.is_callable() {
            let source = Source::new("secret source", secret.clone().unbind(), home);
            return Ok(Self::Function(source));
        }
        Ok(Self::File(secret.extract()?))
    }

    fn authentication(&self) -> ClientAuthentication {
        match self {
            Self::Text(secret) => ClientAuthentication::secret(secret.clone()),
            Self::File(path) => ClientAuthentication::secret(SecretFile::new(path)),
            Self::Function(source) => ClientAuthentication::secret(source.clone()),
        }
    }
}

impl Settings {
    fn builder(&self) -> OAuthBuilder {
        let mut builder = environment::credentials(&self.client_id, self.secret.authentication())
            .allow_plaintext(self.allow_plaintext);
        if let Some(url) = &self.token_url {
            builder = builder.token_url(url);
        }
        if let Some(audience) = &self.audience {
            builder = builder.audience(audience);
        }
        for scope in &self.scopes {
            builder = builder.scope(scope);
        }
        for (name, value) in &self.parameters {
            builder = builder.parameter(name, value);
        }
        if self.basic {
            builder = builder.basic_auth();
        }
        if let Some(Pem(pem)) = &self.ca_certificate {
            builder = builder.ca_certificate(pem);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy);
        }
        let mut timing = Timing::default();
        if let Some(lead) = self.refresh_before {
            timing = timing.refresh_before(lead);
        }
        if let Some(patience) = self.patience {
            timing = timing.patience(patience);
        }
        builder.timing(timing)
    }
}

impl OAuthClientCredentials {
    /// The source, which reaches the token endpoint as the first client that uses it reaches the
    /// service.
    pub(crate) fn source(
        &self,
        network: Option<&NetworkBuilder>,
    ) -> PyResult<&auth::OAuthClientCredentials> {
        let source = self.source.get()?;
        if let Some(source) = source.get() {
            return Ok(source);
        }
        let builder = self.settings.builder();
        let builder = match network {
            Some(network) => builder.network(network),
            None => builder,
        };
        let built = builder
            .build()
            .map_err(|error| error::config(error.setting(), &error))?;
        Ok(source.get_or_init(|| built))
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        &self.home
    }
}

#[pymethods]
impl OAuthClientCredentials {
    #[new]
    #[pyo3(signature = (
        client_id, client_secret, *, token_url = None, audience = None, scopes = Vec::new(),
        parameters = BTreeMap::new(), basic_auth = false, allow_plaintext = false,
        ca_certificate = None, proxy = None, refresh_before = None, patience = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        client_id: String,
        client_secret: &Bound<'_, PyAny>,
        token_url: Option<String>,
        audience: Option<String>,
        scopes: Vec<String>,
        parameters: BTreeMap<String, String>,
        basic_auth: bool,
        allow_plaintext: bool,
        ca_certificate: Option<Pem>,
        proxy: Option<String>,
        refresh_before: Option<Seconds>,
        patience: Option<Seconds>,
    ) -> PyResult<Self> {
        let home = Arc::<Home>::default();
        let settings = Settings {
            client_id,
            secret: SecretFrom::new(client_secret, &home)?,
            token_url,
            audience,
            scopes,
            parameters,
            basic: basic_auth,
            allow_plaintext,
            ca_certificate,
            proxy,
            refresh_before: refresh_before.map(|Seconds(lead)| lead),
            patience: patience.map(|Seconds(patience)| patience),
        };
        // What is wrong is told here, not when the first token is wanted.
        let checked = settings.builder().build();
        checked.map_err(|error| error::config(error.setting(), &error))?;
        Ok(Self {
            settings,
            home,
            source: Owned::new(OnceLock::new()),
        })
    }

    fn token(&self) -> PyResult<Operation> {
        let source = self.source(None)?.clone();
        let work = async move { source.token().await };
        let operation = Operation::new(work, |py, token| match token {
            Ok(token) => Ok(Py::new(py, Token(token))?.into_any()),
            Err(error) => Err(error::of_token(py, &error)),
        });
        Ok(operation.at_home(&self.home))
    }

    fn cached(&self) -> PyResult<Option<Token>> {
        Ok(self.source(None)?.cached().map(Token))
    }

    fn invalidate(&self, token: &Token) -> PyResult<()> {
        self.source(None)?.invalidate(&token.0);
        Ok(())
    }

    /// Requests made to the endpoint so far.
    #[getter]
    fn requests(&self) -> PyResult<u64> {
        Ok(self.source(None)?.usage().requests)
    }

    fn __repr__(&self) -> String {
        let id = &self.settings.client_id;
        format!("OAuthClientCredentials({id:?}, [redacted])")
    }
}
