//! From a prepared image to its record: asks the service, one call each or over a stream.

use athena_client::{Client, Error, Image, Session, Verdict};
use athena_outcome::Record;

use crate::prepare::{Place, Ready};

/// How images travel.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// A call for each image: no deployment, least delay.
    Unary(Client),
    /// A session: cheaper for many.
    Stream(Session),
}

/// What came of an image.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) record: Record,
    /// The service's or the network's error, if that is why there is no verdict.
    pub(crate) error: Option<Error>,
}

impl Route {
    /// Classifies one image. An image that is known to have failed is still looked up by its hash, and
    /// stays failed. Gives its place up as soon as it is taken on.
    pub(crate) async fn judge(&self, mut ready: Ready, place: Place<'_>) -> Judged {
        let Some(prepared) = ready.prepared.take() else {
            return Judged {
                record: ready.record,
                error: None,
            };
        };
        let answer = self.ask(Image::from_prepared(prepared), place).await;
        let elapsed = ready.elapsed_ms();
        let mut record = ready.record;
        record.elapsed_ms = Some(elapsed);
        if let Self::Stream(session) = self {
            record.deployment = Some(session.deployment().to_owned());
        }
        match answer {
            Ok(verdict) => {
                record.answered(&verdict);
                Judged {
                    record,
                    error: None,
                }
            }
            Err(error) => {
                record.unanswered(&error);
                if error.hash_verdict().is_some() {
                    return Judged {
                        record,
                        error: None,
                    };
                }
                Judged {
                    record,
                    error: Some(error.hash_error().cloned().unwrap_or(error)),
                }
            }
        }
    }

    async fn ask(&self, image: Image, place: Place<'_>) -> Result<Verdict, Error> {
        match self {
            Self::Unary(client) => {
                drop(place);
                client.classify(image).await
            }
            Self::Stream(session) => {
                let pending = session.submit(image).await?;
                drop(place);
                pending.await
            }
        }
    }
}
