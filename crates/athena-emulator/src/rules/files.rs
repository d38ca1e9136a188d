//! Rules from files: lists of rules, test cases with expected weights, recorded answers.

use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::{Rule, Selector};
use crate::error::Error;
use crate::observe::RecordedInput;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    rules: Vec<Rule>,
}

impl Rule {
    /// The rules in a TOML file, each under `[[rules]]`.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Vec<Self>, Error> {
        let path = path.as_ref();
        let text = read(path)?;
        let listed: Listed = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].lines().count().max(1));
            let reason = format!("{}, line {line}: {}", path.display(), error.message());
            Error::setting("rules_file", reason)
        })?;
        Ok(listed.rules)
    }

    /// The test cases that the public clients share, as rules: `expected_outputs.json` with the labels,
    /// and for each picture in the folder `images` beside it the weights.
    ///
    /// # Errors
    /// When a file cannot be read or decoded.
    pub fn from_expected_outputs(path: impl AsRef<Path>) -> Result<Vec<Self>, Error> {
        expected_outputs(path.as_ref())
    }

    /// The answers in a recording, as [`EmulatorBuilder::record`](crate::EmulatorBuilder::record)
    /// writes it, for the images that got them. Inputs that name no image are left out.
    ///
    /// # Errors
    /// When the file cannot be read or is not a recording.
    pub fn from_recording(path: impl AsRef<Path>) -> Result<Vec<Self>, Error> {
        recorded(path.as_ref())
    }
}

fn expected_outputs(path: &Path) -> Result<Vec<Rule>, Error> {
    #[derive(Deserialize)]
    struct Expected {
        classification_labels: Vec<String>,
        images: Vec<(String, Vec<f32>)>,
    }
    let invalid = |reason: String| {
        Error::setting("expected_outputs", format!("{}: {reason}", path.display()))
    };
    let expected: Expected =
        serde_json::from_str(&read(path)?).map_err(|error| invalid(error.to_string()))?;
    let folder = path.with_file_name("images");
    let rule = |(name, weights): (String, Vec<f32>)| {
        if weights.len() != expected.classification_labels.len() {
            let labels = expected.classification_labels.len();
            let weights = weights.len();
            return Err(invalid(format!(
                "{name}: {weights} weights for {labels} labels"
            )));
        }
        let image = folder.join(&name);
        let file = std::fs::read(&image).map_err(Error::file("read", &image))?;
        let rule = Rule::when(
            Selector::image(&file)
                .map_err(|error| invalid(format!("{}: {error}", image.display())))?,
        );
        let labelled = expected.classification_labels.iter().zip(weights);
        Ok(labelled.fold(rule.named(name), |rule, (label, weight)| {
            rule.weight(label, weight)
        }))
    };
    expected.images.into_iter().map(rule).collect()
}

fn recorded(path: &Path) -> Result<Vec<Rule>, Error> {
    let file = std::fs::File::open(path).map_err(Error::file("read", path))?;
    let mut rules = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(Error::file("read", path))?;
        let input: RecordedInput = serde_json::from_str(&line).map_err(|error| {
            let reason = format!("{}, line {}: {error}", path.display(), number + 1);
            Error::setting("the recording", reason)
        })?;
        rules.extend(answer_of(input));
    }
    Ok(rules)
}

fn answer_of(input: RecordedInput) -> Option<Rule> {
    let hash = |kind: &str| {
        let hashes = input.hashes.iter();
        let mut of_kind = hashes.filter_map(|hash| hash.strip_prefix(kind)?.strip_prefix(':'));
        of_kind.next().map(str::to_owned)
    };
    let selector = Selector {
        md5: hash("MD5"),
        sha1: hash("SHA1"),
        pixels: input.pixels.clone(),
        ..Selector::any()
    };
    selector.digests().next()?;
    let mut rule = Rule::when(selector);
    let weights = (!input.weights.is_empty() || input.error.is_none()).then_some(input.weights);
    (rule.answer.weights, rule.answer.error) = (weights, input.error);
    Some(rule)
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::file("read", path))
}
