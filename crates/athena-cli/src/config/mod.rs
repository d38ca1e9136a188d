//! Where each setting comes from: flags over environment over the file of `--env-file` over a profile
//! of `config.toml` over `.env` of the working folder over the built-in defaults; and which of them
//! may steer where a secret goes.

mod args;
mod dotenv;
mod environment;
mod file;
mod layers;
mod ownership;
mod profiles;
mod secret;
mod setting;
mod settings;
mod working_folder;

pub(crate) use args::{ConnectArgs, duration};
pub(crate) use ownership::others_can_read;
pub(crate) use secret::{Secret, SecretOrigin};
pub(crate) use setting::{Setting, Source};
pub(crate) use settings::{Settings, read_ca};
