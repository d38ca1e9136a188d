use std::sync::Arc;
use std::time::Duration;

use athena_proto::{ClassificationInput, ClassificationOutput};
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::classification::{Classifier, failure};
use crate::config::ClientConfig;
use crate::deployments::{Deployment, Deployments};
use crate::faults::{Engine, ResultFault};
use crate::listener::Signal;
use crate::oauth::Issuer;
use crate::observe::Observer;

/// What all parts of a running emulator share.
pub(crate) struct Emulated {
    pub(crate) issuer: Issuer,
    pub(crate) classifier: Arc<Classifier>,
    pub(crate) deployments: Deployments,
    pub(crate) faults: Engine,
    pub(crate) observer: Arc<Observer>,
    /// Keeps decoding from taking more threads than there are cores.
    pub(crate) cpu: Semaphore,
    /// To the gRPC connections.
    pub(crate) signals: broadcast::Sender<Signal>,
    /// Counts up each time that all streams are to be cut.
    pub(crate) cuts: watch::Sender<u64>,
    /// Cancelled once the emulator shuts down.
    pub(crate) closing: CancellationToken,
}

impl Emulated {
    /// Classifies off the async threads. `faults` has one element for each input.
    pub(crate) async fn classify(
        &self,
        client: &Arc<ClientConfig>,
        deployment: Option<&Deployment>,
        inputs: Vec<ClassificationInput>,
        faults: Vec<ResultFault>,
    ) -> Result<Vec<(ClassificationOutput, ResultFault)>, Status> {
        let (classifier, client_config) = (self.classifier.clone(), client.clone());
        let stopped = |_| Status::unavailable("the emulator is shutting down");
        let permit = self.cpu.acquire().await.map_err(|_| stopped(()))?;
        let work = tokio::task::spawn_blocking(move || {
            let outputs: Vec<_> = inputs
                .iter()
                .zip(&faults)
                .map(|(input, fault)| match fault.error {
                    None => classifier.classify(&client_config, input),
                    Some(code) => ClassificationOutput {
                        correlation_id: input.correlation_id.clone(),
                        classifications: Vec::new(),
                        error: Some(failure(code, "Error by fault injection.", "")),
                    },
                })
                .collect();
            (inputs, outputs, faults)
        });
        let (inputs, outputs, faults) = work
            .await
            .map_err(|error| Status::internal(format!("classification failed: {error}")))?;
        drop(permit);
        self.observer.answered(
            deployment.map(|deployment| deployment.id.as_str()),
            &client.id,
            inputs.iter().zip(&outputs),
        );
        Ok(outputs.into_iter().zip(faults).collect())
    }

    /// Hands results over to their deployment, as their faults allow.
    pub(crate) fn deliver(
        &self,
        deployment: &Deployment,
        results: Vec<(ClassificationOutput, ResultFault)>,
    ) {
        let mut due: Vec<(ClassificationOutput, Duration)> = Vec::with_capacity(results.len());
        for (output, fault) in results {
            if fault.swallow {
                self.observer.result_swallowed();
                continue;
            }
            if fault.duplicate {
                due.push((output.clone(), fault.delay));
            }
            due.push((output, fault.delay));
        }
        deployment.push(due);
    }
}
