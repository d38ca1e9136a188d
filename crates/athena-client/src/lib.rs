//! SDK for the Athena image-classification service: unary calls and lossless streaming sessions.
