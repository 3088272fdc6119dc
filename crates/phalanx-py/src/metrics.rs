//! What a cluster is and has done, as Prometheus reads it.

use crate::error::Result;
use phalanx::Observer;
use pyo3::prelude::*;

/// Counters and gauges of a cluster of any process, in the text format of Prometheus (0.0.4).
///
/// Counters only grow while the cluster lives: rounds, answers by outcome, failures by reason, histograms of the
/// time of solves and rounds, deaths of workers. It is read without slowing a round; nothing is polled.
#[pyfunction]
pub fn metrics(py: Python<'_>, name: &str) -> Result<String> {
    Ok(py.detach(|| Observer::attach(name).map(|observer| phalanx::metrics::text(&observer)))?)
}
