use std::fmt::Write as _;
use std::path::Path;

/// What a client needs to know of a running emulator.
pub(crate) struct Environment<'a> {
    pub(crate) host: &'a str,
    pub(crate) token_url: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) client_secret: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) affiliate: &'a str,
    pub(crate) admin_url: &'a str,
    pub(crate) ca_file: &'a Path,
}

impl Environment<'_> {
    /// The variables as lines `NAME='value'`, for a shell's `set -a; . file` as well as for the
    /// readers of `.env` files.
    pub(crate) fn render(&self) -> String {
        let ca = self.ca_file.display().to_string();
        let variables = [
            ("ATHENA_HOST", self.host),
            ("ATHENA_AFFILIATE", self.affiliate),
            ("OAUTH_AUTH_URL", self.token_url),
            ("OAUTH_CLIENT_ID", self.client_id),
            ("OAUTH_CLIENT_SECRET", self.client_secret),
            ("OAUTH_AUDIENCE", self.audience),
            ("ATHENA_EMULATOR_ADMIN_URL", self.admin_url),
            // OpenSSL and what builds on it: Python's HTTP clients, .NET on Linux, curl; also rustls.
            ("SSL_CERT_FILE", &ca),
            // gRPC's own TLS stack: Python, C++, Ruby, PHP; also @grpc/grpc-js.
            ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", &ca),
            ("NODE_EXTRA_CA_CERTS", &ca),
            // Both come before SSL_CERT_FILE, so that inherited ones would win over it.
            ("REQUESTS_CA_BUNDLE", &ca),
            ("CURL_CA_BUNDLE", &ca),
        ];
        let mut text = String::from(
            "# A running Athena emulator, for tests only. The CA variables replace the usual roots.\n",
        );
        for (name, value) in variables {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}={}", quoted(value));
        }
        text
    }
}

/// Plain where nothing needs quoting, for readers of `.env` files that do not know quotes.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}
