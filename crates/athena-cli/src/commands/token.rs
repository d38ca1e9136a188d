//! `athena token`: tests the credentials.

use std::io::{self, Write};
use std::time::SystemTime;

use athena_auth::Token;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::ConnectArgs;
use crate::connect::{Credentials, block_on, with_access};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line};
use crate::output::terminal::{BOLD, GOOD};
use crate::output::write_json;

const EXAMPLES: &str = "\
Examples:
  athena token                     Do the credentials work?
  athena token --show-claims
  grpcurl -H \"authorization: Bearer $(athena token --print-token)\" …";

/// Get a token with the configured credentials, and say what it is good for
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TokenArgs {
    /// Also print what the token says about itself
    #[arg(long)]
    show_claims: bool,
    /// Print the token, and nothing else
    #[arg(long, conflicts_with_all = ["show_claims", "json"])]
    print_token: bool,
    /// One JSON object
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<String>,
    scheme: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Map<String, Value>>,
}

pub(crate) fn run(args: &TokenArgs) -> Outcome {
    block_on(with_access(&args.connect, async |access| {
        let token = access.token().await?;
        print(args, &access.credentials, &token).map_err(|error| Failure::output(&error))?;
        Ok(Exit::Done)
    }))
}

fn print(args: &TokenArgs, credentials: &Credentials, token: &Token) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    if args.print_token {
        return writeln!(out, "{}", token.expose_secret());
    }
    let (token_url, audience) = match credentials {
        Credentials::Client {
            token_url,
            audience,
        } => (Some(token_url.clone()), Some(audience.clone())),
        Credentials::Token => (None, None),
    };
    let report = Report {
        token_url,
        audience,
        scheme: token.scheme().to_owned(),
        expires_at: token.expires_at().map(rfc3339),
        lifetime_seconds: token.lifetime().map(|lifetime| lifetime.as_secs()),
        claims: args.show_claims.then(|| claims(token)).flatten(),
    };
    if args.json {
        return write_json(&report, &mut out);
    }
    match &report.token_url {
        Some(url) => writeln!(out, "{GOOD}✓{GOOD:#} {} gave a token", one_line(url))?,
        None => writeln!(
            out,
            "{GOOD}✓{GOOD:#} ATHENA_TOKEN holds a token, not tested"
        )?,
    }
    let mut line =
        |name: &str, value: &str| writeln!(out, "  {BOLD}{name:<11}{BOLD:#}{}", one_line(value));
    if let Some(audience) = &report.audience {
        line("audience", audience)?;
    }
    match (&report.expires_at, report.lifetime_seconds) {
        (Some(time), Some(seconds)) => line("expires", &format!("{time}, in {seconds} s"))?,
        _ => line("expires", "never, as far as it says")?,
    }
    match &report.claims {
        Some(claims) => claims
            .iter()
            .try_for_each(|(name, value)| line(name, &claim_text(name, value))),
        None if args.show_claims => line("claims", "none: it is not a JWT"),
        None => Ok(()),
    }
}

/// The claims of a JWT (RFC 7519), unverified: they are shown, not trusted.
fn claims(token: &Token) -> Option<Map<String, Value>> {
    let payload = token.expose_secret().split('.').nth(1)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn claim_text(name: &str, value: &Value) -> String {
    let seconds = value
        .as_u64()
        .filter(|_| matches!(name, "exp" | "iat" | "nbf"));
    let time = seconds.and_then(|seconds| {
        SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))
    });
    match (time, value) {
        (Some(time), _) => rfc3339(time),
        (None, Value::String(text)) => text.clone(),
        (None, other) => other.to_string(),
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_from_a_jwt_and_from_nothing_else() {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(r#"{"aud":"athena","exp":1000000000}"#);
        let token = Token::bearer(format!("e30.{payload}.sig")).expect("token");
        let claims = claims(&token).expect("claims");
        assert_eq!(claim_text("aud", &claims["aud"]), "athena");
        assert_eq!(claim_text("exp", &claims["exp"]), "2001-09-09T01:46:40Z");
        let opaque = Token::bearer("opaque").expect("token");
        assert!(super::claims(&opaque).is_none());
    }

    #[test]
    fn absurd_times_are_shown_as_they_are() {
        assert_eq!(claim_text("exp", &Value::from("soon")), "soon");
    }
}
