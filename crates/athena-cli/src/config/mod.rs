//! Where each setting comes from: flags over environment over `.env` over a profile of
//! `config.toml` over the built-in defaults.

mod environment;
mod file;
mod secret;
mod settings;

pub(crate) use secret::{Secret, SecretOrigin};
pub(crate) use settings::{ConnectArgs, Setting, Settings, Source, duration, read_ca};
