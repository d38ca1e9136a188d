//! A running emulator. What a test asks of it goes over its admin API, from Python.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use athena_emulator as emulator;
use pyo3::prelude::*;

use crate::error;
use crate::operation::Operation;
use crate::runtime::Owned;

/// An emulator of this process, which stops with the object.
#[pyclass(frozen, module = "athena._athena")]
pub(crate) struct Emulator(Mutex<Option<Owned<emulator::Emulator>>>);

impl Emulator {
    fn ask<T>(&self, ask: impl FnOnce(&emulator::Emulator) -> T) -> PyResult<T> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*running {
            Some(running) => Ok(ask(running.get()?)),
            None => Err(error::of_emulator("the emulator has stopped")),
        }
    }
}

#[pymethods]
impl Emulator {
    /// Starts one with these settings, those of its TOML file as JSON.
    #[staticmethod]
    fn start(settings: &str) -> PyResult<Operation> {
        let config: emulator::Config = serde_json::from_str(settings).map_err(|problem| {
            error::of_emulator(&format!("the settings of the emulator: {problem}"))
        })?;
        let work = async move { emulator::Emulator::builder().config(config).start().await };
        Ok(Operation::new(work, |py, started| match started {
            Ok(running) => Ok(Py::new(py, Self(Mutex::new(Some(Owned::new(running)))))?.into_any()),
            Err(problem) => Err(error::of_emulator(&error::text(&problem))),
        }))
    }

    #[getter]
    fn endpoint(&self) -> PyResult<String> {
        self.ask(emulator::Emulator::endpoint)
    }

    #[getter]
    fn host(&self) -> PyResult<String> {
        self.ask(|emulator| emulator.host().to_owned())
    }

    #[getter]
    fn token_url(&self) -> PyResult<String> {
        self.ask(|emulator| emulator.token_url().to_owned())
    }

    #[getter]
    fn admin_url(&self) -> PyResult<String> {
        self.ask(|emulator| emulator.admin_url().to_owned())
    }

    #[getter]
    fn ca_pem(&self) -> PyResult<String> {
        self.ask(|emulator| emulator.ca_pem().to_owned())
    }

    #[getter]
    fn client_id(&self) -> PyResult<String> {
        self.ask(|emulator| emulator.client_id().to_owned())
    }

    #[getter]
    fn client_secret(&self) -> PyResult<String> {
        self.ask(|emulator| emulator.client_secret().to_owned())
    }

    #[getter]
    fn audience(&self) -> PyResult<String> {
        self.ask(|emulator| emulator.audience().to_owned())
    }

    #[getter]
    fn affiliate(&self) -> PyResult<String> {
        self.ask(|emulator| emulator.affiliate().to_owned())
    }

    /// The environment variables for clients in any language, as lines `NAME=value`.
    fn environment(&self, ca_file: PathBuf) -> PyResult<String> {
        self.ask(|emulator| emulator.environment(&ca_file))
    }

    /// Stops it, once what is in progress has been handed out.
    fn shutdown(&self) -> PyResult<Operation> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = &running {
            running.get()?;
        }
        let work = async move {
            if let Some(running) = running {
                running.into_inner().shutdown().await;
            }
        };
        Ok(Operation::new(work, |py, ()| Ok(py.None())))
    }
}
