//! A local Athena: gRPC over TLS with its own OAuth token endpoint, for tests in any language.
