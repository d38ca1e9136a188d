//! What inputs are answered with.

use std::io::Write;

use athena_emulator::{ClientConfig, Emulator, Labels, Limits};
use athena_imaging::{Compression, PayloadKind, Preprocessor};
use athena_proto::{
    ClassificationInput, ClassificationOutput, ErrorCode, HashType, ImageFormat, ImageHash,
    RequestEncoding,
};

use crate::support::{FRAME, Session, client, frame, input, weight};

const BENIGN: [&str; 6] = [
    "Lakeside",
    "Mountains",
    "Trees",
    "Seashore",
    "Ducks",
    "Goose",
];
const LIVE: [&str; 6] = [
    "classA",
    "classB",
    "classC",
    "adult",
    "indicative",
    "distraction",
];

async fn classify(emulator: &Emulator, input: ClassificationInput) -> ClassificationOutput {
    client(emulator)
        .await
        .classify_single(input)
        .await
        .unwrap()
        .into_inner()
}

fn error(output: &ClassificationOutput) -> (ErrorCode, &str) {
    assert!(output.classifications.is_empty(), "{output:?}");
    let error = output.error.as_ref().expect("an error");
    (error.code(), &error.message)
}

fn hash(kind: HashType, value: &str) -> ImageHash {
    ImageHash {
        value: value.into(),
        r#type: kind.into(),
    }
}

/// A 448 x 448 PPM, which holds the same pixels as the BGR frame.
fn ppm(bgr: &[u8]) -> Vec<u8> {
    let mut file = b"P6 448 448 255\n".to_vec();
    file.extend(bgr.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]));
    file
}

fn brotli(data: &[u8]) -> Vec<u8> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 22);
    writer.write_all(data).unwrap();
    writer.into_inner()
}

#[tokio::test]
async fn a_raw_frame_gets_all_labels_and_category_weights_sum_to_one() {
    for (labels, categories) in [(Labels::Benign, BENIGN), (Labels::Live, LIVE)] {
        let emulator = Emulator::builder().labels(labels).start().await.unwrap();
        let output = classify(&emulator, input(&emulator, "a", frame(1))).await;
        assert_eq!(output.error, None);
        assert_eq!(output.correlation_id, "a");
        let weights: Vec<f32> = categories
            .iter()
            .map(|c| weight(&output, &format!("UnknownCSAM-{c}")).unwrap())
            .collect();
        assert!(
            (weights.iter().sum::<f32>() - 1.0).abs() < 1e-5,
            "{weights:?}"
        );
        let overall = weight(&output, "UnknownCSAM-PCSAM").unwrap();
        assert!((overall - weights[..3].iter().sum::<f32>()).abs() < 1e-6);
        let entropy: f32 = weights.iter().map(|w| -w * w.ln()).sum();
        assert!((weight(&output, "UnknownCSAM-Entropy").unwrap() - entropy).abs() < 1e-5);
        assert_eq!(
            output.classifications.len(),
            8,
            "no hash was sent, so no KnownCSAM label"
        );
    }
}

#[tokio::test]
async fn the_same_pixels_get_the_same_weights_in_every_lossless_form() {
    let emulator = Emulator::builder().start().await.unwrap();
    let pixels = frame(4);
    let raw = classify(&emulator, input(&emulator, "a", pixels.clone())).await;
    let mut forms = vec![
        (
            ImageFormat::RawUint8Bgr,
            RequestEncoding::Unspecified,
            pixels.clone(),
        ),
        (
            ImageFormat::RawUint8Bgr,
            RequestEncoding::Brotli,
            brotli(&pixels),
        ),
        (
            ImageFormat::Ppm,
            RequestEncoding::Uncompressed,
            ppm(&pixels),
        ),
        // The format is sniffed from the content, as the service does, whatever the field says.
        (
            ImageFormat::Png,
            RequestEncoding::Brotli,
            brotli(&ppm(&pixels)),
        ),
    ];
    let webp = Preprocessor::builder()
        .payload(PayloadKind::default())
        .compression(Compression::None)
        .build()
        .unwrap()
        .prepare(ppm(&pixels))
        .unwrap();
    forms.push((
        ImageFormat::Webp,
        RequestEncoding::Uncompressed,
        webp.data.to_vec(),
    ));
    for (format, encoding, data) in forms {
        let output = classify(
            &emulator,
            ClassificationInput {
                format: format.into(),
                encoding: encoding.into(),
                ..input(&emulator, "a", data)
            },
        )
        .await;
        assert_eq!(output, raw, "{format:?} {encoding:?}");
    }
}

#[tokio::test]
async fn other_pixels_or_another_channel_order_get_other_weights() {
    let emulator = Emulator::builder().start().await.unwrap();
    let pixels = frame(4);
    let swapped: Vec<u8> = pixels
        .chunks_exact(3)
        .flat_map(|p| [p[2], p[1], p[0]])
        .collect();
    let mut one_brighter = pixels.clone();
    one_brighter
        .iter_mut()
        .for_each(|value| *value = value.saturating_add(1));
    let pcsam = async |data| {
        weight(
            &classify(&emulator, input(&emulator, "a", data)).await,
            "UnknownCSAM-PCSAM",
        )
        .unwrap()
    };
    let original = pcsam(pixels).await;
    assert!((original - pcsam(swapped).await).abs() > 1e-2);
    let near = (original - pcsam(one_brighter).await).abs();
    assert!(
        (1e-5..0.2).contains(&near),
        "a slight change moves the weights slightly, not by {near}"
    );
}

#[tokio::test]
async fn images_that_cannot_be_classified_get_the_services_error() {
    let emulator = Emulator::builder().start().await.unwrap();
    let png = |data| ClassificationInput {
        format: ImageFormat::Png.into(),
        ..input(&emulator, "a", data)
    };
    let cases = [
        input(&emulator, "a", frame(1)[1..].to_vec()),
        png(b"P6 447 448 255\n"
            .iter()
            .copied()
            .chain(std::iter::repeat_n(7, 447 * 448 * 3))
            .collect()),
        png(b"plain text".to_vec()),
        png(ppm(&frame(1))[..FRAME / 2].to_vec()),
        input(&emulator, "a", vec![]),
        ClassificationInput {
            format: ImageFormat::Unspecified.into(),
            ..input(&emulator, "a", frame(1))
        },
        ClassificationInput {
            format: 18,
            ..input(&emulator, "a", frame(1))
        },
        ClassificationInput {
            encoding: 3,
            ..input(&emulator, "a", frame(1))
        },
        ClassificationInput {
            encoding: RequestEncoding::Brotli.into(),
            ..input(&emulator, "a", frame(1))
        },
    ];
    for input in cases {
        let output = classify(&emulator, input).await;
        let (code, message) = error(&output);
        assert_eq!(code, ErrorCode::ModelError);
        assert!(
            message.starts_with("Image Classification Error"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_decompression_bomb_is_too_large_as_is_a_large_image() {
    let mut limits = Limits::default();
    limits.image_bytes = 700_000;
    let emulator = Emulator::builder().limits(limits).start().await.unwrap();
    let bomb = ClassificationInput {
        encoding: RequestEncoding::Brotli.into(),
        ..input(&emulator, "a", brotli(&vec![0; 16 << 20]))
    };
    assert!(bomb.data.len() < 100_000, "{}", bomb.data.len());
    for input in [bomb, input(&emulator, "a", vec![0; 700_001])] {
        let output = classify(&emulator, input).await;
        assert_eq!(error(&output).0, ErrorCode::ImageTooLarge);
    }
}

#[tokio::test]
async fn affiliates_are_checked_with_the_services_wording() {
    let emulator = Emulator::builder()
        .client(
            ClientConfig::new("id", "secret")
                .affiliate("acme")
                .affiliate("umbrella"),
        )
        .start()
        .await
        .unwrap();
    for affiliate in ["acme", "umbrella"] {
        let mut input = input(&emulator, "a", frame(1));
        input.affiliate = affiliate.into();
        assert_eq!(classify(&emulator, input).await.error, None);
    }
    for affiliate in ["evil", "", "ACME"] {
        let mut input = input(&emulator, "a", frame(1));
        input.affiliate = affiliate.into();
        let output = classify(&emulator, input).await;
        let expected = format!(
            "Affiliate ID '{affiliate}' is not permitted for this client or does not have Athena enabled."
        );
        assert_eq!(
            error(&output),
            (ErrorCode::AffiliateNotPermitted, expected.as_str())
        );
    }
}

#[tokio::test]
async fn correlation_ids_have_1_to_64_characters() {
    let emulator = Emulator::builder().start().await.unwrap();
    let longest = "é".repeat(64);
    assert_eq!(
        classify(&emulator, input(&emulator, &longest, frame(1)))
            .await
            .error,
        None
    );
    for id in ["", &"x".repeat(65)] {
        let output = classify(&emulator, input(&emulator, id, frame(1))).await;
        assert_eq!(error(&output).0, ErrorCode::CorrelationIdInvalid);
        assert_eq!(output.correlation_id, id);
    }
}

#[tokio::test]
async fn hash_labels_appear_exactly_when_hashes_are_sent_and_tell_known_from_unknown() {
    let known = "900150983cd24fb0d6963f7d28e17f72";
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        list.path(),
        "# test digests\nA9993E364706816ABA3E25717850C26C9CD0D89D  # abc\n\n",
    )
    .unwrap();
    let config = format!(
        "known_hashes = [{known:?}]\nknown_hashes_file = {:?}",
        list.path()
    );
    let emulator = Emulator::builder()
        .config(config.parse().unwrap())
        .start()
        .await
        .unwrap();
    let with = |hashes, data| ClassificationInput {
        hashes,
        ..input(&emulator, "a", data)
    };
    let other_md5 = hash(HashType::Md5, "00000000000000000000000000000000");
    let sha1 = hash(HashType::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");

    // The Python client sends one digest for the file and one for the resized pixels.
    let both = classify(
        &emulator,
        with(
            vec![other_md5.clone(), hash(HashType::Md5, known)],
            frame(1),
        ),
    )
    .await;
    assert_eq!(
        (
            weight(&both, "KnownCSAM-MD5"),
            weight(&both, "KnownCSAM-SHA1")
        ),
        (Some(1.0), None)
    );
    assert!(weight(&both, "UnknownCSAM-PCSAM").is_some());

    let hashes_only = classify(&emulator, with(vec![other_md5.clone(), sha1], vec![])).await;
    assert_eq!(
        (
            weight(&hashes_only, "KnownCSAM-MD5"),
            weight(&hashes_only, "KnownCSAM-SHA1")
        ),
        (Some(0.0), Some(1.0))
    );
    assert_eq!(
        hashes_only.classifications.len(),
        2,
        "without an image there is nothing to score"
    );

    emulator.add_known_hash(&other_md5.value).unwrap();
    let added = classify(&emulator, with(vec![other_md5], frame(1))).await;
    assert_eq!(weight(&added, "KnownCSAM-MD5"), Some(1.0));
    assert!(emulator.add_known_hash("abc").is_err());

    let omitting = Emulator::builder()
        .known_hash(known)
        .omit_scores_on_match()
        .start()
        .await
        .unwrap();
    let output = classify(&omitting, with(vec![hash(HashType::Md5, known)], frame(1))).await;
    assert_eq!(output.classifications.len(), 1);
}

#[tokio::test]
async fn one_bad_image_of_a_message_fails_alone() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    let inputs = vec![
        input(&emulator, "good", frame(1)),
        input(&emulator, "bad", vec![1, 2, 3]),
        input(&emulator, "fine", frame(2)),
    ];
    session.send(inputs).await;
    let outputs = session.outputs(3).await;
    for output in outputs {
        assert_eq!(output.error.is_some(), output.correlation_id == "bad");
    }
    assert_eq!(emulator.stats().errors["MODEL_ERROR"], 1);
}

#[tokio::test]
async fn a_message_over_the_limit_is_resource_exhausted() {
    let mut limits = Limits::default();
    limits.message_bytes = 1 << 20;
    let emulator = Emulator::builder().limits(limits).start().await.unwrap();
    let mut client = client(&emulator).await;
    let single = client
        .classify_single(input(&emulator, "a", vec![0; 2 << 20]))
        .await;
    assert_eq!(single.unwrap_err().code(), tonic::Code::ResourceExhausted);
    let mut session = Session::open(&mut client, "d").await;
    session
        .send(vec![
            input(&emulator, "a", frame(1)),
            input(&emulator, "b", frame(1)),
        ])
        .await;
    assert_eq!(
        session.message().await.unwrap_err().code(),
        tonic::Code::ResourceExhausted
    );
}
