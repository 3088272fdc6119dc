//! The extension module `phalanx._core`: what Python needs of the crate `phalanx`, and no decisions of its own.
//!
//! Arrays are never copied on the way: a `FieldView` says where a field lies and keeps that memory
//! mapped; numpy, torch and the others make their views of it.

mod client;
mod controller;
mod device;
mod dlpack;
mod error;
mod field;
mod fork;
mod local;
mod log;
mod metrics;
mod operator;
mod report;
mod robot;
mod rows;
mod server;

/// What Python needs of the crate `phalanx`.
#[pyo3::pymodule(name = "_core")]
mod core_module {
    #[pymodule_export]
    use super::{
        client::{Client, Ticket},
        controller::{Inputs, Outputs, run_worker},
        field::FieldView,
        fork::forked,
        local::Local,
        metrics::metrics,
        operator::Operator,
        report::{Explanation, Report},
        robot::RobotSpec,
        server::{Server, load_config},
    };

    /// The version of the package.
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn init() {
        super::log::collect();
    }
}
