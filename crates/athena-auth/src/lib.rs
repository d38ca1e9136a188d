//! OAuth 2.0 tokens for any tower, tonic, hyper or reqwest client: single-flight cache, early refresh, authorization layer.
