//! Where each setting comes from: flags over environment over `.env` over a profile of
//! `config.toml` over the built-in defaults.

mod environment;
mod file;
mod layers;
mod secret;
mod settings;

pub(crate) use layers::{Setting, Source};
pub(crate) use secret::{Secret, SecretOrigin};
pub(crate) use settings::{ConnectArgs, Settings, duration, read_ca};
