//! Scripted answers: this image gets that verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use athena_emulator::{Emulator, EmulatorErrorKind, Rule, Selector, Unmatched};
use athena_imaging::Hashes;
use athena_proto::{
    ClassificationInput, ClassificationOutput, ErrorCode, HashType, ImageFormat, ImageHash,
    RequestEncoding,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Session, client, frame, hash_input, http, input, weight};

const PCSAM: &str = "UnknownCSAM-PCSAM";

fn photo() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/images");
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.sort();
    let jpeg = names
        .iter()
        .find(|path| path.extension().is_some_and(|e| e == "jpg"));
    std::fs::read(jpeg.expect("a JPEG")).unwrap()
}

async fn classify(emulator: &Emulator, input: ClassificationInput) -> ClassificationOutput {
    let mut grpc = client(emulator).await;
    grpc.classify_single(input).await.unwrap().into_inner()
}

fn weights(output: &ClassificationOutput) -> BTreeMap<&str, f32> {
    let labels = output.classifications.iter();
    labels
        .map(|label| (label.label.as_str(), label.weight))
        .collect()
}

/// The input that a client makes of a file: pixels of its own making, and the file's hashes if it
/// sends any.
fn of_file(emulator: &Emulator, file: &[u8], with_hashes: bool) -> ClassificationInput {
    let frame = athena_imaging::Preprocessor::default().frame(file).unwrap();
    let mut input = input(emulator, "upload", frame.into_data());
    if with_hashes {
        let hashes = Hashes::of(file);
        let hash = |kind: HashType, value| ImageHash {
            r#type: kind.into(),
            value,
        };
        input.hashes = vec![
            hash(HashType::Md5, hashes.md5_hex()),
            hash(HashType::Sha1, hashes.sha1_hex()),
        ];
    }
    input
}

#[tokio::test]
async fn this_image_is_blocked_however_it_is_sent_and_no_other_is() {
    let emulator = Emulator::builder().start().await.unwrap();
    let file = photo();
    emulator
        .add_rule(Rule::when(Selector::image(&file).unwrap()).weight(PCSAM, 0.97))
        .unwrap();
    for with_hashes in [false, true] {
        let output = classify(&emulator, of_file(&emulator, &file, with_hashes)).await;
        assert_eq!(weight(&output, PCSAM), Some(0.97));
        let known = usize::from(with_hashes) * 2;
        assert_eq!(output.classifications.len(), 1 + known, "{output:?}");
    }
    // Another payload of the same pixels.
    let mut compressed = of_file(&emulator, &file, false);
    let mut brotli = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: 1,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &compressed.data[..], &mut brotli, &parameters).unwrap();
    compressed.data = brotli.into();
    compressed.encoding = RequestEncoding::Brotli.into();
    assert_eq!(
        weight(&classify(&emulator, compressed).await, PCSAM),
        Some(0.97)
    );

    let other = classify(&emulator, input(&emulator, "upload", frame(9))).await;
    assert_eq!(other.classifications.len(), 8);
    assert_ne!(weight(&other, PCSAM), Some(0.97));
    assert_eq!(emulator.rules()[0].matches, 3);
}

#[tokio::test]
async fn everything_that_tells_an_input_can_choose_its_answer() {
    let emulator = Emulator::builder()
        .client(
            athena_emulator::ClientConfig::new("id", "secret")
                .affiliate("acme")
                .affiliate("other"),
        )
        .rule(Rule::when(Selector::any().correlation_id("exact")).weight("A", 1.0))
        .rule(Rule::when(Selector::any().correlation_id("pre-*-post")).weight("B", 1.0))
        .rule(Rule::when(Selector::any().affiliate("other")).weight("C", 1.0))
        .rule(Rule::when(Selector::any().deployment("d")).weight("D", 1.0))
        .rule(Rule::when(Selector::any().md5("0123456789ABCDEF0123456789ABCDEF")).weight("E", 1.0))
        .rule(Rule::when(Selector::any()).next(2).weight("F", 2.5))
        .start()
        .await
        .unwrap();
    let pixels = |id: &str| input(&emulator, id, frame(1));
    let mut other = pixels("a");
    other.affiliate = "other".into();
    let first = async |input| {
        let output = classify(&emulator, input).await;
        let label = output.classifications.into_iter().next().unwrap();
        (label.label, label.weight)
    };
    assert_eq!(first(pixels("exact")).await, ("A".into(), 1.0));
    assert_eq!(first(pixels("pre-7-post")).await, ("B".into(), 1.0));
    assert_eq!(first(other).await, ("C".into(), 1.0));
    let hashes = classify(&emulator, hash_input(&emulator, "a")).await;
    assert_eq!(
        weights(&hashes),
        [("KnownCSAM-MD5", 0.0), ("E", 1.0)].into()
    );
    assert_eq!(first(pixels("a")).await, ("F".into(), 2.5));
    assert_eq!(first(pixels("a")).await, ("F".into(), 2.5));
    assert_eq!(first(pixels("a")).await.0, "UnknownCSAM-Lakeside");

    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    session.send(vec![pixels("a"), pixels("exact")]).await;
    let outputs = session.outputs(2).await;
    let labels: Vec<_> = outputs
        .iter()
        .map(|o| o.classifications[0].label.as_str())
        .collect();
    assert_eq!(labels, ["D", "A"]);
    let matches: Vec<_> = emulator.rules().iter().map(|rule| rule.matches).collect();
    assert_eq!(matches, [2, 1, 1, 1, 1, 2]);
}

#[tokio::test]
async fn errors_matches_delays_and_silence_are_answers_too() {
    let emulator = Emulator::builder()
        .rule(
            Rule::when(Selector::any().correlation_id("error"))
                .error(ErrorCode::ImageTooLarge, "Too much."),
        )
        .rule(
            Rule::when(Selector::any().correlation_id("both"))
                .known(true)
                .weight("UnknownCSAM-adult", 0.5)
                .error(ErrorCode::ModelError, "Half way."),
        )
        .rule(Rule::when(Selector::any().correlation_id("known")).known(true))
        .rule(Rule::when(Selector::any().correlation_id("late")).delay(Duration::from_millis(80)))
        .rule(Rule::when(Selector::any().correlation_id("never")).silent())
        .start()
        .await
        .unwrap();
    let with_hash = |id: &str| {
        let mut input = input(&emulator, id, frame(1));
        input.hashes = hash_input(&emulator, id).hashes;
        input
    };
    let output = classify(&emulator, with_hash("error")).await;
    let error = output.error.unwrap();
    assert_eq!(
        (error.code(), &*error.message),
        (ErrorCode::ImageTooLarge, "Too much.")
    );
    assert!(output.classifications.is_empty());

    let output = classify(&emulator, with_hash("both")).await;
    assert_eq!(output.error.as_ref().unwrap().message, "Half way.");
    assert_eq!(
        weights(&output),
        [("KnownCSAM-MD5", 1.0), ("UnknownCSAM-adult", 0.5)].into()
    );

    let output = classify(&emulator, with_hash("known")).await;
    assert_eq!(weight(&output, "KnownCSAM-MD5"), Some(1.0));
    assert!(weight(&output, PCSAM).is_some());

    let start = Instant::now();
    classify(&emulator, with_hash("late")).await;
    assert!(start.elapsed() >= Duration::from_millis(80));

    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    session
        .send(vec![with_hash("never"), with_hash("answered")])
        .await;
    assert_eq!(session.ids(1).await, ["answered"]);
    session.finish();
    assert!(session.message().await.unwrap().is_none());
    assert_eq!(emulator.stats().results_swallowed, 1);
}

#[tokio::test]
async fn what_no_rule_fits_can_be_an_error() {
    let emulator = Emulator::builder()
        .unmatched(Unmatched::Error)
        .rule(Rule::when(Selector::any().correlation_id("a")))
        .start()
        .await
        .unwrap();
    let output = classify(&emulator, input(&emulator, "a", frame(1))).await;
    assert_eq!(
        output.classifications.len(),
        8,
        "a rule may leave the answer as it is"
    );
    let error = classify(&emulator, input(&emulator, "b", frame(1)))
        .await
        .error
        .unwrap();
    assert!(
        error
            .message
            .ends_with("no rule of this emulator fits the input"),
        "{error:?}"
    );
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused_and_those_in_force_stay() {
    let emulator = Emulator::builder()
        .rule(Rule::when(Selector::any()).weight("A", 1.0))
        .start()
        .await
        .unwrap();
    for (rule, message) in [
        (Rule::when(Selector::any().md5("abc")), "md5 is invalid"),
        (Rule::when(Selector::any()).next(0), "next is invalid"),
        (
            Rule::when(Selector::any()).weight("A", f32::NAN),
            "weights is invalid",
        ),
        (
            Rule::when(Selector::any()).silent().weight("A", 1.0),
            "silent is invalid",
        ),
    ] {
        let error = emulator.set_rules([rule.clone()]).unwrap_err();
        assert_eq!(error.kind(), EmulatorErrorKind::Setting);
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(Emulator::builder().rule(rule).start().await.is_err());
    }
    assert_eq!(emulator.rules().len(), 1);

    let url = format!("{}/rules", emulator.admin_url());
    for body in [
        json!({"when": {"typo": 1}}),
        json!({"when": {"format": "jpeg2"}}),
        json!({"answer": {"error": {"code": "no_such_code"}}}),
    ] {
        let answer = http(&emulator).put(&url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 422, "{body}");
    }
}

#[tokio::test]
async fn curl_can_have_an_image_blocked() {
    let emulator = Emulator::builder().start().await.unwrap();
    let (http, file) = (http(&emulator), photo());
    let url = |path: &str| format!("{}{path}", emulator.admin_url());
    let digests = http
        .post(url("/digests"))
        .body(file.clone())
        .send()
        .await
        .unwrap();
    let digests: Value = digests.json().await.unwrap();
    assert_eq!(digests["sha1"], Hashes::of(&file).sha1_hex());
    let rule = json!({"name": "blocked", "when": digests, "answer": {"weights": {PCSAM: 0.97}}});
    let answer = http.post(url("/rules")).json(&rule).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let output = classify(&emulator, of_file(&emulator, &file, false)).await;
    assert_eq!(weights(&output), [(PCSAM, 0.97)].into());

    let rules: Value = http
        .get(url("/rules"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(rules[0]["name"], "blocked");
    assert_eq!(rules[0]["matches"], 1);
    assert_eq!(rules[0]["rule"]["when"], digests);
    assert_eq!(emulator.inputs()[0].rule.as_deref(), Some("blocked"));
    let cleared = http.delete(url("/rules")).send().await.unwrap();
    assert_eq!(cleared.status(), 204);
    let broken = http
        .post(url("/digests"))
        .body("no image")
        .send()
        .await
        .unwrap();
    assert_eq!(broken.status(), 422);
}

#[tokio::test]
async fn rules_are_read_from_files_with_errors_that_name_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    let text = r#"
        [[rules]]
        name = "review"
        when = { correlation_id = "upload-*", format = "raw_uint8_bgr" }
        next = 1
        answer = { weights = { "UnknownCSAM-PCSAM" = 0.5 }, delay = "1ms" }
    "#;
    std::fs::write(&path, text).unwrap();
    let config = format!("rules_file = {:?}", path.display().to_string()).parse();
    let emulator = Emulator::builder()
        .config(config.unwrap())
        .start()
        .await
        .unwrap();
    let output = classify(&emulator, input(&emulator, "upload-1", frame(1))).await;
    assert_eq!(weights(&output), [(PCSAM, 0.5)].into());

    std::fs::write(&path, "[[rules]]\nname = \"a\"\nwhen = { tpyo = 1 }\n").unwrap();
    let error = Rule::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("rules.toml, line 3"), "{error}");
}

#[tokio::test]
async fn the_public_test_cases_get_the_weights_that_they_expect() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("images")).unwrap();
    std::fs::write(folder.path().join("images/one.jpg"), photo()).unwrap();
    let path = folder.path().join("expected_outputs.json");
    let expected = json!({
        "classification_labels": ["UnknownCSAM-adult", "UnknownCSAM-distraction"],
        "images": [["one.jpg", [0.1223, 0.8777]]],
    });
    std::fs::write(&path, expected.to_string()).unwrap();
    let emulator = Emulator::builder()
        .rules(Rule::from_expected_outputs(&path).unwrap())
        .start()
        .await
        .unwrap();
    let output = classify(&emulator, of_file(&emulator, &photo(), false)).await;
    assert_eq!(
        weights(&output),
        [
            ("UnknownCSAM-adult", 0.1223),
            ("UnknownCSAM-distraction", 0.8777)
        ]
        .into()
    );
    assert_eq!(emulator.rules()[0].name, "one.jpg");

    let short = json!({"classification_labels": ["a", "b"], "images": [["one.jpg", [0.1]]]});
    std::fs::write(&path, short.to_string()).unwrap();
    let error = Rule::from_expected_outputs(&path).unwrap_err().to_string();
    assert!(error.contains("one.jpg: 1 weights for 2 labels"), "{error}");
}

#[tokio::test]
async fn recorded_answers_are_given_again() {
    let recording = tempfile::NamedTempFile::new().unwrap();
    let emulator = Emulator::builder()
        .record(recording.path())
        .known_hash(Hashes::of(&photo()).md5_hex())
        .start()
        .await
        .unwrap();
    let photo = of_file(&emulator, &photo(), true);
    let broken = ClassificationInput {
        hashes: hash_input(&emulator, "a").hashes,
        format: ImageFormat::Jpeg.into(),
        ..input(&emulator, "broken", vec![1, 2, 3])
    };
    let plain = input(&emulator, "plain", frame(3));
    let inputs = [photo, broken, plain];
    let mut answers = Vec::new();
    for input in &inputs {
        answers.push(classify(&emulator, input.clone()).await);
    }
    emulator.shutdown().await;

    let replaying = Emulator::builder()
        .rules(Rule::from_recording(recording.path()).unwrap())
        .unmatched(Unmatched::Error)
        .start()
        .await
        .unwrap();
    for (input, answer) in inputs.into_iter().zip(answers) {
        let again = classify(&replaying, input).await;
        assert_eq!(weights(&again), weights(&answer));
        assert_eq!(again.error, answer.error);
    }
    let stranger = classify(&replaying, input(&replaying, "new", frame(4))).await;
    assert!(stranger.error.is_some());
    let text = std::fs::read_to_string(recording.path()).unwrap();
    assert!(text.lines().all(|line| line.len() < 1500), "{text}");
}

#[tokio::test]
async fn strict_tells_what_others_overlook() {
    let lax = Emulator::builder()
        .known_hash("ab".repeat(16))
        .start()
        .await
        .unwrap();
    let strict = Emulator::builder().strict().start().await.unwrap();
    let with_hash = |value: &str| ClassificationInput {
        hashes: vec![ImageHash {
            r#type: HashType::Md5.into(),
            value: value.into(),
        }],
        ..hash_input(&lax, "a")
    };
    let upper = classify(&lax, with_hash(&"AB".repeat(16))).await;
    assert_eq!(weights(&upper), [("KnownCSAM-MD5", 1.0)].into());
    for wrong in [&"AB".repeat(16), "", "xyz", &"ab".repeat(20)] {
        assert_eq!(
            classify(&lax, with_hash(wrong)).await.error,
            None,
            "{wrong}"
        );
        let error = classify(&strict, with_hash(wrong)).await.error.unwrap();
        assert!(error.message.contains("is not an MD5 digest"), "{error:?}");
    }
    assert_eq!(
        classify(&strict, with_hash(&"ab".repeat(16))).await.error,
        None
    );

    let mut trailing = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: 1,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &frame(1)[..], &mut trailing, &parameters).unwrap();
    trailing.extend_from_slice(b"junk");
    let mut junk = input(&strict, "a", trailing);
    junk.encoding = RequestEncoding::Brotli.into();
    assert_eq!(classify(&lax, junk.clone()).await.error, None);
    let error = classify(&strict, junk).await.error.unwrap();
    assert!(
        error.message.contains("4 bytes behind the end"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_hit_on_an_undecodable_image_is_an_error_alone_or_both() {
    for both in [false, true] {
        let builder = Emulator::builder().known_hash("0123456789abcdef0123456789abcdef");
        let builder = if both {
            builder.labels_with_errors()
        } else {
            builder
        };
        let emulator = builder.start().await.unwrap();
        let broken = ClassificationInput {
            hashes: hash_input(&emulator, "a").hashes,
            ..input(&emulator, "a", vec![1, 2, 3])
        };
        let output = classify(&emulator, broken).await;
        assert!(output.error.is_some());
        assert_eq!(weight(&output, "KnownCSAM-MD5"), both.then_some(1.0));
    }
}

/// Two emulators: one plays the real service, the other records it.
#[cfg(feature = "upstream")]
#[tokio::test]
async fn a_real_service_is_recorded_and_replayed_without_it() {
    use crate::support::client_with;
    use athena_emulator::TokenKind;

    let folder = tempfile::tempdir().unwrap();
    let (ca, recording) = (
        folder.path().join("ca.pem"),
        folder.path().join("answers.jsonl"),
    );
    let service = Emulator::builder()
        .rule(Rule::when(Selector::any().correlation_id("single")).weight(PCSAM, 0.25))
        .start()
        .await
        .unwrap();
    std::fs::write(&ca, service.ca_pem()).unwrap();
    let relay = Emulator::builder()
        .upstream(service.host())
        .upstream_ca(&ca)
        .record(&recording)
        .start()
        .await
        .unwrap();

    // The service's tokens, not the relay's.
    let token = format!("Bearer {}", service.mint(TokenKind::Valid).unwrap());
    let mut grpc = client_with(&relay, &token).await;
    let single = grpc
        .classify_single(input(&service, "single", frame(1)))
        .await
        .unwrap();
    assert_eq!(weight(single.get_ref(), PCSAM), Some(0.25));
    let mut session = Session::open(&mut grpc, "d").await;
    session
        .send(vec![
            input(&service, "a", frame(2)),
            input(&service, "b", vec![1]),
        ])
        .await;
    let streamed = session.outputs(2).await;
    session.finish();
    assert!(session.message().await.unwrap().is_none());
    assert_eq!(
        grpc.list_deployments(())
            .await
            .unwrap()
            .get_ref()
            .deployments
            .len(),
        1
    );
    let foreign = client_with(&relay, "Bearer of-nobody")
        .await
        .list_deployments(())
        .await;
    assert_eq!(foreign.unwrap_err().code(), tonic::Code::Unauthenticated);
    relay.shutdown().await;
    let text = std::fs::read_to_string(&recording).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(!text.contains(&token["Bearer ".len()..]));

    let replaying = Emulator::builder()
        .rules(Rule::from_recording(&recording).unwrap())
        .unmatched(Unmatched::Error)
        .start()
        .await
        .unwrap();
    let again = classify(&replaying, input(&replaying, "other-id", frame(1))).await;
    assert_eq!(weights(&again), [(PCSAM, 0.25)].into());
    let answered = streamed
        .iter()
        .find(|output| output.correlation_id == "a")
        .unwrap();
    let again = classify(&replaying, input(&replaying, "again", frame(2))).await;
    assert_eq!(weights(&again), weights(answered));
}
