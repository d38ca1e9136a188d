use std::path::PathBuf;
use std::sync::Arc;

use athena_client::auth::{Cached, Network, NetworkBuilder, Static};
use athena_client::{self as sdk, ClientBuilder};
use futures_util::StreamExt;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use tokio::sync::Mutex;

use crate::auth::{Home, OAuthClientCredentials, Source, Token};
use crate::convert::{Pem, Seconds};
use crate::error;
use crate::image::Image;
use crate::imaging::{Prepared, Preprocessor};
use crate::operation::Operation;
use crate::runtime::{Owned, office};
use crate::session::{self, Session};
use crate::verdict::Verdict;

/// A client of one account at one service.
#[pyclass(frozen, module = "athena._athena")]
pub(crate) struct Client {
    client: Owned<sdk::Client>,
    home: Arc<Home>,
}

impl Client {
    fn operation<T, F>(
        &self,
        work: F,
        convert: fn(Python<'_>, T) -> PyResult<Py<PyAny>>,
    ) -> Operation
    where
        T: Send + 'static,
        F: Future<Output = Result<T, sdk::Error>> + Send + 'static,
    {
        let operation = Operation::new(work, move |py, result| match result {
            Ok(value) => convert(py, value),
            Err(error) => Err(error::of_call(py, &error)),
        });
        operation.at_home(&self.home)
    }
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (
        *, from_env = false, endpoint = None, token_source = None, affiliate = None,
        preprocessor = None, ca_certificate = None, only_given_authorities = false,
        identity_files = None, server_name = None, proxy = None, no_proxy = false,
        allow_plaintext = false, timeout = None, connect_timeout = None, ping = None,
        preparation_threads = None, hash_undecodable = true, sha256 = false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        from_env: bool,
        endpoint: Option<String>,
        token_source: Option<&Bound<'_, PyAny>>,
        affiliate: Option<String>,
        preprocessor: Option<&Preprocessor>,
        ca_certificate: Option<Pem>,
        only_given_authorities: bool,
        identity_files: Option<(PathBuf, PathBuf)>,
        server_name: Option<String>,
        proxy: Option<String>,
        no_proxy: bool,
        allow_plaintext: bool,
        timeout: Option<Seconds>,
        connect_timeout: Option<Seconds>,
        ping: Option<(Seconds, Seconds)>,
        preparation_threads: Option<usize>,
        hash_undecodable: bool,
        sha256: bool,
    ) -> PyResult<Self> {
        let mut builder = match from_env {
            true => ClientBuilder::from_env().map_err(|error| error::of_build(&error))?,
            false => sdk::Client::builder(),
        };
        builder = builder
            .allow_plaintext(allow_plaintext)
            .hash_undecodable(hash_undecodable)
            .sha256(sha256);
        // The token endpoint is reached as the service is.
        let mut network = Network::builder();
        if let Some(Pem(pem)) = &ca_certificate {
            builder = builder.ca_certificate(pem);
            network = network.ca_certificate(pem);
        }
        if only_given_authorities {
            builder = builder.only_given_authorities();
            network = network.only_given_authorities();
        }
        if let Some(url) = &proxy {
            builder = builder.proxy(url);
            network = network.proxy(url);
        }
        if no_proxy {
            builder = builder.no_proxy();
            network = network.no_proxy();
        }
        if let Some(endpoint) = endpoint {
            builder = builder.endpoint(endpoint);
        }
        if let Some(affiliate) = affiliate {
            builder = builder.affiliate(affiliate);
        }
        if let Some(preprocessor) = preprocessor {
            builder = builder.preprocessor(preprocessor.0.clone());
        }
        if let Some((certificates, key)) = identity_files {
            builder = builder.identity_files(certificates, key);
        }
        if let Some(name) = server_name {
            builder = builder.server_name(name);
        }
        if let Some(Seconds(timeout)) = timeout {
            builder = builder.timeout(timeout);
        }
        if let Some(Seconds(timeout)) = connect_timeout {
            builder = builder.connect_timeout(timeout);
        }
        if let Some((Seconds(interval), Seconds(timeout))) = ping {
            builder = builder.ping(interval, timeout);
        }
        if let Some(threads) = preparation_threads {
            builder = builder.preparation_threads(threads);
        }
        let mut home = Arc::<Home>::default();
        if let Some(source) = token_source {
            builder = with_tokens(builder, source, &network, &mut home)?;
        }
        let client = builder.build().map_err(|error| error::of_build(&error))?;
        Ok(Self {
            client: Owned::new(client),
            home,
        })
    }

    fn ready(&self) -> PyResult<Operation> {
        let client = self.client.get()?.clone();
        Ok(self.operation(async move { client.ready().await }, |py, ()| Ok(py.None())))
    }

    fn classify(&self, image: &Image) -> PyResult<Operation> {
        let (client, image) = (self.client.get()?.clone(), image.0.clone());
        Ok(self.operation(async move { client.classify(image).await }, verdict))
    }

    fn prepare(&self, image: &Image) -> PyResult<Operation> {
        let (client, image) = (self.client.get()?.clone(), image.0.clone());
        let work = async move { client.prepare(image).await };
        Ok(self.operation(work, |py, prepared| {
            Ok(Py::new(py, Prepared::new(prepared))?.into_any())
        }))
    }

    fn list_deployments(&self) -> PyResult<Operation> {
        let client = self.client.get()?.clone();
        let work = async move { client.list_deployments().await };
        Ok(self.operation(work, |py, deployments| {
            let pairs = deployments
                .into_iter()
                .map(|deployment| (deployment.id, deployment.backlog));
            Ok(PyList::new(py, pairs.collect::<Vec<_>>())?
                .into_any()
                .unbind())
        }))
    }

    #[pyo3(signature = (**settings))]
    fn session(&self, py: Python<'_>, settings: Option<session::Settings>) -> PyResult<Session> {
        let settings = settings.unwrap_or_default();
        let runtime = office(py)?.handle;
        let _runtime = runtime.enter();
        let builder = settings.apply(self.client.get()?.session());
        let session = builder.open().map_err(|error| error::of_call(py, &error))?;
        Ok(Session::new(session, settings.capacity(), &self.home))
    }

    /// The results that wait in a deployment: each call of what is returned waits for the next one,
    /// `None` at the end.
    fn collect(&self, py: Python<'_>, deployment: String, quiet: Seconds) -> PyResult<Collection> {
        let runtime = office(py)?.handle;
        let _runtime = runtime.enter();
        let stream = self.client.get()?.collect(deployment, quiet.0);
        let stream = stream.map_err(|error| error::of_call(py, &error))?;
        Ok(Collection {
            stream: Owned::new(Arc::new(Mutex::new(stream.boxed()))),
            home: Arc::clone(&self.home),
        })
    }
}

fn verdict(py: Python<'_>, verdict: sdk::Verdict) -> PyResult<Py<PyAny>> {
    Ok(Py::new(py, Verdict::new(verdict))?.into_any())
}

fn with_tokens(
    builder: ClientBuilder,
    source: &Bound<'_, PyAny>,
    network: &NetworkBuilder,
    home: &mut Arc<Home>,
) -> PyResult<ClientBuilder> {
    if let Ok(credentials) = source.cast::<OAuthClientCredentials>() {
        *home = Arc::clone(credentials.get().home());
        return Ok(builder.token_source(credentials.get().source(Some(network))?.clone()));
    }
    if let Ok(token) = source.cast::<Token>() {
        return Ok(builder.token_source(Static::new(token.get().0.clone())));
    }
    if source.is_callable() {
        let source = Source::new("token source", source.clone().unbind(), home);
        return Ok(builder.token_source(Cached::new(source)));
    }
    Err(PyTypeError::new_err(
        "token_source: OAuthClientCredentials, a Token, or a function that returns one is needed",
    ))
}

type Waiting = futures_util::stream::BoxStream<'static, Result<sdk::Unclaimed, sdk::Error>>;

/// Results that wait in a deployment.
#[pyclass(frozen)]
struct Collection {
    stream: Owned<Arc<Mutex<Waiting>>>,
    home: Arc<Home>,
}

#[pymethods]
impl Collection {
    fn next(&self) -> PyResult<Operation> {
        let stream = Arc::clone(self.stream.get()?);
        let work = async move { stream.lock().await.next().await };
        let operation = Operation::new(work, |py, next| match next {
            Some(Ok(unclaimed)) => session::unclaimed(py, unclaimed),
            Some(Err(error)) => Err(error::of_call(py, &error)),
            None => Ok(py.None()),
        });
        Ok(operation.at_home(&self.home))
    }
}
