//! Other tools' ways of asking.

use athena_emulator::{Faults, When};

use crate::support::{POLICY, Running, form, picture, small};

#[tokio::test(flavor = "multi_thread")]
async fn pict_rs_hears_what_pictrs_safety_says_but_never_a_yes_by_accident() {
    let running = Running::start(|g| g.policy(POLICY.parse().expect("policy"))).await;
    let headers = [("Content-Type", "image/png")];
    let answer = running.post("/compat/pict-rs", &headers, &picture()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["message"], "Image OK");
    let (kind, body) = form(&[("a.png", &picture())]);
    let answer = running
        .post("/compat/pict-rs", &[("Content-Type", &kind)], &body)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let broken = running
        .post("/compat/pict-rs", &headers, &picture()[..500])
        .await;
    assert_eq!(broken.status, 406, "{broken:?}");
    let video = running
        .post("/compat/pict-rs", &[("Content-Type", "video/mp4")], b"ftyp")
        .await;
    assert_eq!(video.status, 406, "held by the policy: {video:?}");
    // A time-out, a full queue, a fault of the service: none of them is a clean image.
    running
        .emulator
        .set_faults(Faults::none().swallow(When::Every(1)));
    let late = running
        .post("/compat/pict-rs?timeout=100ms", &headers, &small(1))
        .await;
    assert_eq!(late.status, 503, "{late:?}");
    assert!(late.header("retry-after").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn scanners_go_by_the_status() {
    let running = Running::start(|g| g.policy(POLICY.parse().expect("policy"))).await;
    let clean = running.post("/compat/scan", &[], &small(1)).await;
    assert_eq!(clean.status, 200, "{clean:?}");
    assert_eq!(clean.json()["Status"], "OK");
    let found = running.post("/compat/scan", &[], &picture()[..500]).await;
    assert_eq!(
        (found.status, found.json()["Description"].as_str()),
        (406, Some("undecodable"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_nothing_is_decided() {
    let running = Running::start(|g| g).await;
    for path in ["/compat/scan", "/compat/pict-rs"] {
        let answer = running.post(path, &[], &small(1)).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (503, "no-policy")
        );
    }
}
