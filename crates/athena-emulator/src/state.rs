use std::sync::Arc;

use athena_proto::{ClassificationError, ClassificationInput, ClassificationOutput};
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::certificates::Authority;
use crate::classification::{Classifier, KnownHashes, failure, image_error};
use crate::config::{ClientConfig, Config};
use crate::deployments::{Deployment, Deployments};
use crate::error::Error;
use crate::faults::{Engine, ResultFault};
use crate::listener::Signal;
use crate::oauth::Issuer;
use crate::observe::Observer;

/// What all parts of a running emulator share.
pub(crate) struct Emulated {
    /// The first client: the one that the handle tells of.
    pub(crate) client: ClientConfig,
    /// The CA's certificate.
    pub(crate) ca_pem: String,
    pub(crate) issuer: Issuer,
    pub(crate) classifier: Arc<Classifier>,
    pub(crate) deployments: Deployments,
    pub(crate) faults: Engine,
    pub(crate) observer: Arc<Observer>,
    /// Bounds the messages of streams that are held in memory; further ones wait on the wire.
    pub(crate) messages: Arc<Semaphore>,
    /// Keeps decoding from taking more threads than there are cores.
    pub(crate) cpu: Semaphore,
    /// To the gRPC connections.
    pub(crate) signals: broadcast::Sender<Signal>,
    /// Counts up each time that all streams are to be cut.
    pub(crate) cuts: watch::Sender<u64>,
    /// Cancelled once the emulator shuts down.
    pub(crate) closing: CancellationToken,
}

/// How many messages of streams are worked on or wait for it.
const MESSAGES: usize = 64;

impl Emulated {
    pub(crate) fn new(
        config: &Config,
        authority: &Authority,
        issuer_url: String,
    ) -> Result<Self, Error> {
        let observer = Arc::new(Observer::new(config.record.as_deref())?);
        let known = KnownHashes::new(config)?;
        Ok(Self {
            client: config.effective_clients().swap_remove(0),
            ca_pem: authority.pem().to_owned(),
            issuer: Issuer::new(config, issuer_url, config.certificates.as_deref())?,
            classifier: Arc::new(Classifier::new(known, config)),
            deployments: Deployments::new(config, observer.clone()),
            faults: Engine::new(config.faults.clone())?,
            observer,
            messages: Arc::new(Semaphore::new(MESSAGES)),
            cpu: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
            signals: broadcast::channel(16).0,
            cuts: watch::channel(0).0,
            closing: CancellationToken::new(),
        })
    }

    /// Classifies off the async threads. `faults` has one element for each input, and so has the
    /// answer.
    pub(crate) async fn classify(
        &self,
        client: &Arc<ClientConfig>,
        deployment: Option<&Deployment>,
        inputs: Vec<ClassificationInput>,
        faults: Vec<ResultFault>,
    ) -> Vec<(ClassificationOutput, ResultFault)> {
        let inputs: Arc<[_]> = inputs.into();
        let work = {
            let (classifier, client) = (self.classifier.clone(), client.clone());
            let (inputs, faults) = (inputs.clone(), faults.clone());
            move || -> Vec<_> {
                let answer =
                    |(input, fault): (&ClassificationInput, &ResultFault)| match fault.error {
                        None => classifier.classify(&client, input),
                        Some(code) => failed(input, failure(code, "Error by fault injection.", "")),
                    };
                inputs.iter().zip(&faults).map(answer).collect()
            }
        };
        // The semaphore is never closed.
        let permit = self.cpu.acquire().await;
        let outputs = tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| {
                // A panic in a decoder: nobody may wait in vain for it.
                tracing::error!(%error, "classification failed");
                let internal = image_error("internal error of the emulator");
                inputs
                    .iter()
                    .map(|input| failed(input, internal.clone()))
                    .collect()
            });
        drop(permit);
        self.observer.answered(
            deployment.map(|deployment| deployment.id.as_str()),
            &client.id,
            inputs.iter().zip(&outputs),
        );
        outputs.into_iter().zip(faults).collect()
    }

    /// Hands results over to their deployment, as their faults allow.
    pub(crate) fn deliver(
        &self,
        deployment: &Deployment,
        results: Vec<(ClassificationOutput, ResultFault)>,
    ) {
        let mut due = Vec::with_capacity(results.len());
        for (output, fault) in results {
            if fault.swallow {
                self.observer.result_swallowed();
                deployment.forget(std::iter::once(output.correlation_id.as_str()));
                continue;
            }
            if fault.duplicate {
                due.push((output.clone(), fault));
            }
            due.push((output, fault));
        }
        deployment.push(due);
    }
}

fn failed(input: &ClassificationInput, error: ClassificationError) -> ClassificationOutput {
    ClassificationOutput {
        correlation_id: input.correlation_id.clone(),
        classifications: Vec::new(),
        error: Some(error),
    }
}
