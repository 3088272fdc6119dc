//! Errors of the crate as exceptions of the package. Their classes are Python's (`phalanx.errors`), because an
//! exception there may be two things at once: a `ConfigError` is a `PhalanxError` and a `ValueError`.

use phalanx::Error;
use phalanx_mirror::MirrorError;
use pyo3::{prelude::*, types::PyDict};

/// An error on its way to become an exception.
pub struct Raised(PyErr);

/// What everything here returns.
pub type Result<T> = std::result::Result<T, Raised>;

impl From<Raised> for PyErr {
    fn from(raised: Raised) -> Self {
        raised.0
    }
}

impl From<PyErr> for Raised {
    fn from(e: PyErr) -> Self {
        Self(e)
    }
}

impl From<Error> for Raised {
    fn from(e: Error) -> Self {
        Python::attach(|py| Self(exception(py, &e)))
    }
}

impl From<MirrorError> for Raised {
    fn from(e: MirrorError) -> Self {
        match e {
            MirrorError::Cluster(e) => e.into(),
            MirrorError::Misuse(why) => raise("MisuseError", &why),
            other => raise("DeviceError", &other.to_string()),
        }
    }
}

/// An exception of the package by name.
pub fn raise(class: &str, message: &str) -> Raised {
    Python::attach(|py| Raised(new(py, class, message, |_| Ok(()))))
}

fn exception(py: Python<'_>, e: &Error) -> PyErr {
    let message = e.to_string();
    match e {
        Error::Shm(_) => new(py, "ShmError", &message, |_| Ok(())),
        Error::Robot(_) => new(py, "RobotError", &message, |_| Ok(())),
        Error::Plan(_) | Error::Rates(_) | Error::Config(_) => new(py, "ConfigError", &message, |_| Ok(())),
        Error::SchemaMismatch(lines) => {
            new(py, "SchemaError", &message, |a| a.set_item("differences", lines))
        }
        Error::Conventions(lines) => {
            new(py, "ConventionError", &message, |a| a.set_item("differences", lines))
        }
        Error::Starting { .. } => new(py, "StartError", &message, |_| Ok(())),
        Error::Start(start) => new(py, "StartError", &message, |a| {
            a.set_item("worker", start.worker)?;
            a.set_item("pid", start.pid)?;
            a.set_item("log", &start.log)
        }),
        Error::ClientTaken { pid, .. } => new(py, "ClientTaken", &message, |a| a.set_item("pid", pid)),
        Error::OperatorTaken { pid, .. } => new(py, "OperatorTaken", &message, |a| a.set_item("pid", pid)),
        Error::Timeout { rows, pids, .. } => new(py, "RoundTimeout", &message, |a| {
            a.set_item("rows", rows)?;
            a.set_item("pids", pids)
        }),
        Error::ServerGone { .. } => new(py, "ServerGone", &message, |_| Ok(())),
        Error::File { .. } => new(py, "FileError", &message, |_| Ok(())),
        _ => new(py, "MisuseError", &message, |_| Ok(())),
    }
}

fn new(
    py: Python<'_>,
    class: &str,
    message: &str,
    attributes: impl FnOnce(&Bound<'_, PyDict>) -> PyResult<()>,
) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let class = py.import("phalanx.errors")?.getattr(class)?;
        let error = class.call1((message,))?;
        let dict = error.getattr("__dict__")?.cast_into::<PyDict>()?;
        attributes(&dict)?;
        Ok(PyErr::from_value(error))
    };
    make().unwrap_or_else(|e| e)
}
