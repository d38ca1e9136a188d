//! One image, and several in one request.

use athena_emulator::{Emulator, ErrorCode, Faults, RejectStatus, When};
use athena_outcome::Record;
use serde_json::Value;

use crate::support::{POLICY, Running, form, picture, small};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_has_its_record() {
    let running = Running::start(|g| g.policy(POLICY.parse().expect("policy"))).await;
    let image = picture();
    let answer = running
        .post("/v1/classify", &[("Idempotency-Key", "upload-7")], &image)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("athena-decision"), Some("allow"));
    let record: Record = serde_json::from_slice(&answer.body).expect("a record");
    assert_eq!(record.key.as_deref(), Some("upload-7"));
    assert_eq!(record.correlation_id.as_deref(), Some("upload-7"));
    assert_eq!(record.bytes, Some(image.len() as u64));
    let body = answer.json();
    for field in [
        "pcsam",
        "known_match",
        "md5",
        "sha1",
        "sha256",
        "format",
        "width",
        "time",
        "received",
        "deployment",
    ] {
        assert!(!body[field].is_null(), "{field} is missing: {body}");
    }
    assert_eq!(running.emulator.inputs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_content_is_blocked_even_when_it_cannot_be_decoded() {
    let running = Running::start(|g| g.policy(POLICY.parse().expect("policy"))).await;
    let image = small(1);
    let broken = &picture()[..500];
    for bytes in [&image[..], broken] {
        let digests = running.post("/v1/hash", &[], bytes).await.json();
        let md5 = digests["md5"].as_str().expect("a digest");
        running.emulator.add_known_hash(md5).expect("a digest");
        let answer = running.post("/v1/classify", &[], bytes).await;
        assert_eq!(
            answer.header("athena-decision"),
            Some("block"),
            "{answer:?}"
        );
        let body = answer.json();
        let record = if answer.status == 200 {
            &body
        } else {
            &body["outcome"]
        };
        assert_eq!(record["known_match"], true);
        assert_eq!(record["why"], "known_match");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_verdict_is_no_success() {
    let running = Running::start(|g| g).await;
    let table: [(&[u8], u16, &str); 3] = [
        (&picture()[..500], 422, "truncated"),
        (b"hello, world", 415, "unknown_format"),
        (b"\x89PNG\r\n\x1a\nrubbish", 422, "truncated"),
    ];
    for (bytes, status, kind) in table {
        let answer = running.post("/v1/classify", &[], bytes).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.problem(), "not-classified");
        let outcome = &answer.json()["outcome"];
        assert_eq!(outcome["status"], "failed");
        assert_eq!(outcome["error"]["kind"], kind);
        assert_eq!(outcome["hash_lookup"], "no_match", "looked up all the same");
    }
    let empty = running.post("/v1/classify", &[], b"").await;
    assert_eq!(
        (empty.status, empty.problem().as_str()),
        (400, "bad-request")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_failing_is_told_from_the_image_failing() {
    let running = Running::start(|g| g).await;
    for (code, status) in [
        (ErrorCode::ModelError, 502),
        (ErrorCode::ImageTooLarge, 413),
        (ErrorCode::AffiliateNotPermitted, 502),
    ] {
        let faults = Faults::none().image_error(When::Every(1), code);
        running.emulator.set_faults(faults);
        let answer = running.post("/v1/classify", &[], &small(1)).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    running.emulator.set_faults(Faults::none());
    let other = running
        .post("/v1/classify?affiliate=nobody", &[], &small(1))
        .await;
    assert_eq!(other.status, 403, "{other:?}");
    let faults = Faults::none().swallow(When::Every(1));
    running.emulator.set_faults(faults);
    let late = running
        .post("/v1/classify?timeout=200ms", &[], &small(2))
        .await;
    assert_eq!(late.status, 504, "{late:?}");
    assert!(late.header("retry-after").is_some());
    assert_eq!(late.json()["outcome"]["error"]["transient"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_can_name_status_codes() {
    let policy = format!("{POLICY}[status]\nblock = 451\nreview = 406\n");
    let running = Running::start(|g| g.policy(policy.parse().expect("policy"))).await;
    assert_eq!(
        running.post("/v1/classify", &[], &small(1)).await.status,
        200
    );
    let broken = running.post("/v1/classify", &[], &picture()[..500]).await;
    assert_eq!(broken.status, 451);
    assert_eq!(broken.json()["decision"], "block");
    running
        .emulator
        .set_faults(Faults::none().swallow(When::Every(1)));
    let late = running
        .post("/v1/classify?timeout=100ms", &[], &small(2))
        .await;
    assert_eq!(late.status, 406, "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_alone_send_no_pixels() {
    let running = Running::start(|g| g).await;
    let answer = running
        .post("/v1/classify?hash_only=true", &[], &picture())
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["known_match"], false);
    assert_eq!(body["pcsam"], Value::Null);
    assert_eq!(running.emulator.inputs()[0].bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_of_a_form_is_as_good_as_a_body() {
    let running = Running::start(|g| g).await;
    let (kind, body) = form(&[("holiday.jpg", &picture())]);
    let answer = running
        .post("/v1/classify", &[("Content-Type", &kind)], &body)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["path"], "holiday.jpg");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_fare_as_the_worst_of_them() {
    let running = Running::start(|g| g).await;
    let (kind, good) = form(&[("a.ppm", &small(1)), ("b.ppm", &small(2))]);
    let headers = [("Content-Type", kind.as_str()), ("Idempotency-Key", "k")];
    let answer = running.post("/v1/classify", &headers, &good).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let outcomes = answer.json()["outcomes"].clone();
    assert_eq!(outcomes[0]["path"], "a.ppm");
    assert_eq!(outcomes[1]["key"], "k-1");
    let (_, mixed) = form(&[("a.ppm", &small(1)), ("b.jpg", &picture()[..500])]);
    let answer = running.post("/v1/classify", &headers[..1], &mixed).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(answer.json()["outcomes"][0]["status"], "classified");
    assert_eq!(answer.json()["outcomes"][1]["status"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_are_waited_for_together_and_fetched_one_by_one() {
    let running = Running::start(|g| g).await;
    let (kind, both) = form(&[("a.ppm", &small(1)), ("b.ppm", &small(2))]);
    let headers = [("Content-Type", kind.as_str()), ("Idempotency-Key", "k")];
    let answer = running.post("/v1/classify?wait=0", &headers, &both).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let pending = answer.json()["outcomes"].clone();
    for (index, file) in ["a.ppm", "b.ppm"].into_iter().enumerate() {
        assert_eq!(pending[index]["key"], format!("k-{index}"));
        let location = pending[index]["location"].as_str().expect("a place");
        let outcome = running.get(&format!("{location}?wait=20")).await;
        assert_eq!(outcome.status, 200, "{outcome:?}");
        assert_eq!(outcome.json()["path"], file);
    }
    // By the same key nothing is sent again, whether one waits or not.
    for path in ["/v1/classify?wait=20", "/v1/classify"] {
        let again = running.post(path, &headers, &both).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(again.json()["outcomes"][1]["path"], "b.ppm");
    }
    assert_eq!(running.emulator.inputs().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused_with_its_reason() {
    let running = Running::start(|g| g).await;
    let post = async |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let answer = running.post(path, headers, body).await;
        (answer.status, answer.problem())
    };
    let form_type = [("Content-Type", "application/x-www-form-urlencoded")];
    let json = [("Content-Type", "application/json")];
    let image = small(1);
    for (got, status, problem) in [
        (
            post("/v1/classify", &form_type, &image).await,
            415,
            "unsupported-media-type",
        ),
        (
            post("/v1/classify", &json, b"{\"url\":\"https://a/\"}").await,
            415,
            "unsupported-media-type",
        ),
        (
            post("/v1/classify?hashonly=1", &[], &image).await,
            400,
            "bad-request",
        ),
        (
            post("/v1/classify?webhook=https://a/", &[], &image).await,
            403,
            "forbidden",
        ),
        (post("/v1/classified", &[], &image).await, 404, "not-found"),
        (
            post("/v1/outcomes/a", &[], &image).await,
            405,
            "method-not-allowed",
        ),
    ] {
        assert_eq!(got, (status, problem.to_owned()));
    }
    let answer = running.get("/v1/outcomes/%ff").await;
    let problem = Some("application/problem+json");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (400, problem)
    );
    assert_eq!(running.emulator.inputs().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_pushes_back_is_an_answer_too() {
    let running = Running::with(Emulator::builder(), |g| g).await;
    let faults = Faults::none().reject(When::Every(1), RejectStatus::Unavailable, None);
    running.emulator.set_faults(faults);
    running.emulator.disconnect();
    let answer = running
        .post("/v1/classify?timeout=300ms", &[], &small(1))
        .await;
    assert!(matches!(answer.status, 502..=504), "{answer:?}");
    assert_eq!(answer.problem(), "not-classified");
}
