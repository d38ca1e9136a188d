use std::pin::Pin;
use std::sync::Arc;

use athena_proto::classifier_service_server::ClassifierService;
use athena_proto::{
    ClassificationInput, ClassificationOutput, ClassifyRequest, ClassifyResponse, Deployment,
    ListDeploymentsResponse,
};
use futures_util::Stream;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::budget::Receipts;
use super::reader::Reader;
use super::responder::Responder;
use crate::state::{Caller, Emulated};

/// The service of the contract.
pub(super) struct Classifiers {
    state: Arc<Emulated>,
}

impl Classifiers {
    pub(super) fn new(state: Arc<Emulated>) -> Self {
        Self { state }
    }
}

#[tonic::async_trait]
impl ClassifierService for Classifiers {
    type ClassifyStream = Pin<Box<dyn Stream<Item = Result<ClassifyResponse, Status>> + Send>>;

    async fn classify(
        &self,
        request: Request<Streaming<ClassifyRequest>>,
    ) -> Result<Response<Self::ClassifyStream>, Status> {
        let caller = caller(&request)?;
        // One event at a time: what waits in a channel would be lost with a broken stream.
        let (events, received) = mpsc::channel(1);
        let responder = Responder::new(caller.namespace.clone(), received);
        let receipts = receipts(&request);
        let reader = Reader::new(self.state.clone(), caller, receipts, events);
        tokio::spawn(reader.run(request.into_inner()));
        Ok(Response::new(Box::pin(responder.into_stream())))
    }

    async fn list_deployments(
        &self,
        request: Request<()>,
    ) -> Result<Response<ListDeploymentsResponse>, Status> {
        let caller = caller(&request)?;
        let all = caller.namespace.deployments.list().into_iter();
        let own = all.filter(|deployment| deployment.client == caller.client.id);
        let deployments = own.map(|deployment| Deployment {
            deployment_id: deployment.id,
            backlog: i32::try_from(deployment.backlog).unwrap_or(i32::MAX),
        });
        Ok(Response::new(ListDeploymentsResponse {
            deployments: deployments.collect(),
        }))
    }

    async fn classify_single(
        &self,
        request: Request<ClassificationInput>,
    ) -> Result<Response<ClassificationOutput>, Status> {
        let Caller { client, namespace } = caller(&request)?;
        let _paid = receipts(&request).take();
        let fault = namespace.faults.result();
        let input = request.into_inner();
        let answered = namespace
            .classify(&self.state.cpu, &client, None, vec![input], vec![fault])
            .await;
        let answered = answered.into_iter().next();
        let (output, fault) = answered.ok_or_else(|| Status::internal("no output"))?;
        tokio::time::sleep(fault.delay).await;
        if fault.swallow {
            namespace.observer.result_swallowed();
            std::future::pending::<()>().await;
        }
        Ok(Response::new(output))
    }
}

pub(super) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>();
    caller
        .cloned()
        .ok_or_else(|| Status::internal("the call bypassed the token check"))
}

pub(super) fn receipts<T>(request: &Request<T>) -> Receipts {
    let receipts = request.extensions().get::<Receipts>();
    receipts.cloned().unwrap_or_default()
}
