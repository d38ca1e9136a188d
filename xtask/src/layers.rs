//! Holds the dependency trees of the lower crates against the layering: what each may never reach.

use std::path::Path;

use crate::{Result, cargo};

struct Rule {
    package: &'static str,
    features: &'static [&'static str],
    forbidden: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        package: "athena-proto",
        features: &["--no-default-features"],
        forbidden: &["tonic", "tokio", "http"],
    },
    Rule {
        package: "athena-net",
        features: &["--no-default-features"],
        forbidden: &["http", "tokio", "rustls", "thiserror"],
    },
    Rule {
        package: "athena-net",
        features: &["--all-features"],
        forbidden: &["tonic", "prost", "h2", "oauth2", "athena-auth"],
    },
    Rule {
        package: "athena-auth",
        features: &["--no-default-features"],
        forbidden: &["tonic", "reqwest", "oauth2", "prost", "hyper", "rustls"],
    },
    Rule {
        package: "athena-auth",
        features: &["--all-features"],
        forbidden: &["tonic", "prost", "athena-proto", "athena-imaging"],
    },
    Rule {
        package: "athena-imaging",
        features: &["--all-features"],
        forbidden: &[
            "tokio",
            "tonic",
            "prost",
            "reqwest",
            "athena-proto",
            "athena-auth",
        ],
    },
    Rule {
        package: "athena-client",
        features: &["--all-features"],
        forbidden: &[
            "clap",
            "axum",
            "athena-emulator",
            "object_store",
            "opentelemetry_sdk",
        ],
    },
    Rule {
        package: "athena-gateway",
        features: &["--all-features"],
        forbidden: &[
            "clap",
            "athena_emulator",
            "oauth2",
            "object_store",
            "async_nats",
        ],
    },
    Rule {
        package: "athena-sources",
        features: &["--no-default-features"],
        forbidden: &["reqwest", "object_store", "rustls", "http"],
    },
    Rule {
        package: "athena-sources",
        features: &["--all-features"],
        forbidden: &[
            "clap",
            "axum",
            "tonic",
            "prost",
            "athena-auth",
            "athena-imaging",
            "athena-client",
            "aws-lc-rs",
        ],
    },
    Rule {
        package: "athena-worker",
        features: &["--all-features"],
        forbidden: &["clap", "athena_emulator", "oauth2"],
    },
    Rule {
        package: "athena-outcome",
        features: &["--all-features"],
        forbidden: &["clap", "axum", "reqwest", "athena-emulator"],
    },
];

pub(crate) fn run(root: &Path) -> Result {
    let mut broken = Vec::new();
    for rule in RULES {
        let output = cargo(root)
            .args([
                "tree",
                "--edges=normal,build",
                "--prefix=none",
                "--format={lib}",
                "--package",
                rule.package,
            ])
            .args(rule.features)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let reached = String::from_utf8(output.stdout)?;
        for name in rule.forbidden {
            let library = name.replace('-', "_");
            if reached.lines().any(|line| line == library) {
                broken.push(format!(
                    "{} {} reaches {name}",
                    rule.package,
                    rule.features.join(" ")
                ));
            }
        }
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken.join("\n       ").into())
    }
}
