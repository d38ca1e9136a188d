//! Where settings come from, and those that cannot work.

use athena_auth::{ClientAuthentication, OAuthClientCredentials};

#[test]
fn settings_that_cannot_work_are_found_before_anything_is_sent() {
    let builder = || {
        OAuthClientCredentials::builder("the-id", "the-secret")
            .token_url("https://example.com/token")
    };
    for (builder, setting) in [
        (
            OAuthClientCredentials::builder("", "the-secret").token_url("https://example.com"),
            "client_id",
        ),
        (
            OAuthClientCredentials::builder("the-id", "").token_url("https://example.com"),
            "client_secret",
        ),
        (
            OAuthClientCredentials::builder("the-id\n", "the-secret")
                .token_url("https://example.com"),
            "client_id",
        ),
        (
            OAuthClientCredentials::builder("the-id", "the-secret\n")
                .token_url("https://example.com"),
            "client_secret",
        ),
        (
            OAuthClientCredentials::builder("the-id", ClientAuthentication::assertion(" a.b.c"))
                .token_url("https://example.com"),
            "client_assertion",
        ),
        (
            OAuthClientCredentials::builder("the-id", ClientAuthentication::assertion("a.b.c"))
                .token_url("https://example.com")
                .basic_auth(),
            "basic_auth",
        ),
        (builder().audience(" padded"), "audience"),
        (builder().scope("padded "), "scope"),
        (
            builder().token_url("https://example.com/token\n"),
            "token_url",
        ),
        (
            builder().parameter("client_assertion", "twice"),
            "parameter",
        ),
        (
            OAuthClientCredentials::builder("the-id", "the-secret"),
            "token_url",
        ),
        (builder().token_url("example.com/token"), "token_url"),
        (builder().token_url("http://example.com/token"), "token_url"),
        (
            builder().token_url("https://id:secret@example.com/token"),
            "token_url",
        ),
        (builder().token_url("ftp://example.com/token"), "token_url"),
        (builder().token_url("mailto:me@example.com"), "token_url"),
        (builder().parameter("client_secret", "twice"), "parameter"),
        (builder().parameter("grant_type", "password"), "parameter"),
        (builder().ca_certificate("no PEM at all"), "ca_certificate"),
        (
            builder()
                .ca_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "ca_certificate",
        ),
        (builder().proxy("not a proxy"), "proxy"),
    ] {
        let error = builder.build().expect_err(setting);
        assert_eq!(error.setting(), setting, "{error}");
    }
    for url in [
        "http://localhost:8080/token",
        "http://127.0.0.1/token",
        "http://[::1]/token",
        "https://example.com",
    ] {
        builder().token_url(url).build().expect(url);
    }
    builder()
        .token_url("http://example.com")
        .allow_plaintext(true)
        .build()
        .expect("allowed");
}
