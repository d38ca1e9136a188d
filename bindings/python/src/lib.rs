//! The native half of the Python package `athena`.
//!
//! It wraps the SDK and the emulator with as little of its own as can be: classes that hold a Rust
//! value, and [`Operation`](operation::Operation), work that asyncio awaits or a thread waits for.
//! What users see, with its documentation and types, is Python: `python/athena`.

mod auth;
mod client;
mod convert;
mod courier;
mod emulator;
mod error;
mod image;
mod imaging;
mod log;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod memory;
mod operation;
mod results;
mod runtime;
mod session;
mod verdict;

use pyo3::prelude::*;

// A free-threaded interpreter turns its GIL on: what a fork finds locked is thought through for one that has it.
#[pymodule(gil_used = true)]
mod _athena {
    #[pymodule_export]
    use crate::auth::{OAuthClientCredentials, Secret, Token};
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::emulator::Emulator;
    #[pymodule_export]
    use crate::image::Image;
    #[pymodule_export]
    use crate::imaging::{Frame, Prepared, Preprocessor, compress_brotli, hashes, inspect};
    #[pymodule_export]
    use crate::operation::Operation;
    #[pymodule_export]
    use crate::results::Results;
    #[pymodule_export]
    use crate::session::{Pending, Session};
    #[pymodule_export]
    use crate::verdict::{Provenance, Verdict};

    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        let environment = [
            ("DEFAULT_ENDPOINT", athena_client::DEFAULT_ENDPOINT),
            (
                "DEFAULT_TOKEN_URL",
                athena_client::environment::DEFAULT_TOKEN_URL,
            ),
            (
                "DEFAULT_AUDIENCE",
                athena_client::environment::DEFAULT_AUDIENCE,
            ),
            ("__version__", env!("CARGO_PKG_VERSION")),
        ];
        for (name, value) in environment {
            module.add(name, value)?;
        }
        // Those that this process may use, which in a container are fewer than the machine has.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        module.add("CORES", cores)?;
        let descriptors = PyBytes::new(py, athena_proto::FILE_DESCRIPTOR_SET);
        module.add("FILE_DESCRIPTOR_SET", descriptors)?;
        crate::runtime::register(module)
    }
}
