use std::sync::Arc;

use athena_proto::{ClassificationInput, ClassificationOutput};
use tokio::sync::{Semaphore, watch};

use super::Setup;
use crate::classification::{Answered, Classifier, failure, image_error};
use crate::config::{ClientConfig, Config};
use crate::deployments::{Deployment, Deployments};
use crate::error::Error;
use crate::faults::{Engine, ResultFault};
use crate::observe::{Observer, RecordedInput, Recording};

/// What the clients of one namespace share, and no others see.
pub(crate) struct NamespaceState {
    pub(crate) name: Arc<str>,
    /// The first client: the one that handles tell of.
    pub(crate) client: ClientConfig,
    pub(crate) classifier: Arc<Classifier>,
    pub(crate) deployments: Deployments,
    pub(crate) faults: Engine,
    pub(crate) observer: Arc<Observer>,
    /// Counts up each time that all streams are to be cut.
    pub(crate) cuts: watch::Sender<u64>,
}

impl NamespaceState {
    pub(super) fn new(
        name: &str,
        client: ClientConfig,
        config: &Config,
        setup: &Setup,
        recording: Option<Arc<Recording>>,
    ) -> Result<Self, Error> {
        let observer = Arc::new(Observer::new(recording));
        let namespace = Self {
            name: name.into(),
            client,
            classifier: Arc::new(Classifier::new(config)),
            deployments: Deployments::new(config, observer.clone()),
            faults: Engine::new(setup.faults.clone())?,
            observer,
            cuts: watch::channel(0).0,
        };
        namespace.arrange(setup)?;
        Ok(namespace)
    }

    /// Back to how it began: what was set is as configured, what was seen is forgotten. Streams are
    /// cut; what was in work for them is dropped.
    pub(crate) fn reset(&self, setup: &Setup) -> Result<(), Error> {
        self.arrange(setup)?;
        self.clear_deployments();
        self.observer.reset_stats();
        self.observer.clear_inputs();
        Ok(())
    }

    fn arrange(&self, setup: &Setup) -> Result<(), Error> {
        self.classifier.rules.set(setup.rules.clone())?;
        self.classifier.known.reset(&setup.known);
        self.faults.set(setup.faults.clone())
    }

    pub(crate) fn clear_deployments(&self) {
        self.cut_streams();
        self.deployments.clear();
    }

    pub(crate) fn cut_streams(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Classifies off the async threads, at most as many at a time as `cpu` allows. `faults` has one
    /// element for each input, and so has the answer.
    pub(crate) async fn classify(
        &self,
        cpu: &Semaphore,
        client: &Arc<ClientConfig>,
        deployment: Option<&str>,
        inputs: Vec<ClassificationInput>,
        faults: Vec<ResultFault>,
    ) -> Vec<(ClassificationOutput, ResultFault)> {
        let inputs: Arc<[_]> = inputs.into();
        let wants_pixels = self.observer.records();
        let work = {
            let (classifier, client) = (self.classifier.clone(), client.clone());
            let (inputs, faults) = (inputs.clone(), faults.clone());
            let deployment = deployment.map(str::to_owned);
            move || -> Vec<_> {
                let answer =
                    |(input, fault): (&ClassificationInput, &ResultFault)| match fault.error {
                        None => {
                            classifier.classify(&client, deployment.as_deref(), input, wants_pixels)
                        }
                        Some(code) => {
                            Answered::failed(input, failure(code, "Error by fault injection.", ""))
                        }
                    };
                inputs.iter().zip(&faults).map(answer).collect()
            }
        };
        // The semaphore is never closed.
        let permit = cpu.acquire().await;
        let answered = tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| {
                // A panic in a decoder: nobody may wait in vain for it.
                tracing::error!(%error, "classification failed");
                let internal = image_error("internal error of the emulator");
                inputs
                    .iter()
                    .map(|input| Answered::failed(input, internal.clone()))
                    .collect()
            });
        drop(permit);
        let noted = inputs.iter().zip(&answered).map(|(input, answered)| {
            let pixels = answered.pixels.clone();
            let noted = RecordedInput::new(deployment, &client.id, input, pixels);
            noted.answered(&answered.output, answered.rule.clone())
        });
        self.observer.answered(noted.collect());
        let results = answered.into_iter().zip(faults);
        results
            .map(|(answered, mut fault)| {
                fault.delay = fault.delay.saturating_add(answered.delay);
                fault.swallow |= answered.silent;
                (answered.output, fault)
            })
            .collect()
    }

    /// The digests of the inputs' pixels, as far as there are any and somebody wants them.
    #[cfg(feature = "upstream")]
    pub(crate) async fn pixels(
        &self,
        cpu: &Semaphore,
        inputs: &[ClassificationInput],
    ) -> Vec<Option<String>> {
        if !self.observer.records() {
            return vec![None; inputs.len()];
        }
        let (classifier, copies) = (self.classifier.clone(), inputs.to_vec());
        // The semaphore is never closed.
        let _permit = cpu.acquire().await;
        let digests = tokio::task::spawn_blocking(move || {
            copies
                .iter()
                .map(|input| classifier.pixels(input))
                .collect()
        });
        digests.await.unwrap_or_else(|_| vec![None; inputs.len()])
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
