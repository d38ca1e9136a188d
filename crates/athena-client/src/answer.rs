//! From the service's answers to verdicts and errors.

use std::sync::Arc;

use athena_proto::ClassificationOutput;

use crate::error::{Delivery, Error, ErrorKind};
use crate::prepared::Provenance;
use crate::verdict::Verdict;

/// Reads one output of the service.
pub(crate) fn verdict(id: &Arc<str>, output: ClassificationOutput) -> Result<Verdict, Error> {
    match output.error {
        Some(error) => Err(Error::from_service(&error)),
        // Nobody shall take silence, or `NaN >= 0.8`, for an all-clear.
        None if output.classifications.is_empty() => Err(broken("the answer has no labels")),
        None if output.classifications.iter().any(|c| !c.weight.is_finite()) => {
            Err(broken("the answer has a weight that is not a number"))
        }
        None => Ok(Verdict::from_wire(Arc::clone(id), output.classifications)),
    }
}

fn broken(what: &str) -> Error {
    let message = format!("{what}: it is not a verdict");
    Error::new(ErrorKind::Protocol, message).with_delivery(Delivery::Answered)
}

/// Reads the one output of a unary call, which must not be another image's.
pub(crate) fn answer_for(id: &Arc<str>, output: ClassificationOutput) -> Result<Verdict, Error> {
    let answered = output.correlation_id.as_str();
    if !answered.is_empty() && answered != &**id {
        let message = "the service answered with the correlation id of another image";
        return Err(Error::new(ErrorKind::Protocol, message).with_delivery(Delivery::Answered));
    }
    verdict(id, output)
}

/// What an image that was sent so often ends with: an undecodable one in its own error, whatever the word
/// on its hashes.
pub(crate) fn outcome(
    answer: Result<Verdict, Error>,
    undecodable: Option<Error>,
    provenance: Option<&Arc<Provenance>>,
    sends: u32,
) -> Result<Verdict, Error> {
    match (answer, undecodable) {
        (Ok(verdict), None) => Ok(match provenance {
            Some(provenance) => verdict.with_provenance(provenance).with_sends(sends),
            None => verdict.with_sends(sends),
        }),
        (Err(error), None) => Err(error),
        (lookup, Some(error)) => Err(error.with_lookup(lookup)),
    }
    .map_err(|error| {
        let error = error.with_sends(sends);
        match provenance {
            Some(provenance) => error.with_provenance(Arc::clone(provenance)),
            None => error,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(weight: f32) -> athena_proto::Classification {
        athena_proto::Classification {
            label: "UnknownCSAM-PCSAM".to_owned(),
            weight,
        }
    }

    #[test]
    fn an_answer_that_says_nothing_is_no_verdict() {
        let id = Arc::from("mine");
        for weights in [&[][..], &[0.1, f32::NAN], &[f32::INFINITY]] {
            let output = ClassificationOutput {
                classifications: weights.iter().map(|weight| label(*weight)).collect(),
                ..ClassificationOutput::default()
            };
            let error = verdict(&id, output).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert_eq!(error.delivery(), Delivery::Answered);
        }
    }

    #[test]
    fn an_answer_for_another_image_is_no_verdict() {
        let output = |id: &str| ClassificationOutput {
            correlation_id: id.to_owned(),
            classifications: vec![label(0.5)],
            error: None,
        };
        let id = Arc::from("mine");
        assert!(answer_for(&id, output("mine")).is_ok());
        assert!(answer_for(&id, output("")).is_ok());
        let error = answer_for(&id, output("yours")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
}
