//! A cluster without processes, for unit tests and debuggers: its controllers are served on the thread that
//! calls `solve()`.

use crate::{
    client::manifest_json,
    controller::{PyRow, host, take_interrupt, unhost},
    error::{Result, raise},
};
use phalanx::local::LocalCluster;
use pyo3::{prelude::*, types::PyType};

/// A cluster whose controllers live in this process.
#[pyclass(unsendable, module = "phalanx._core")]
pub struct Local {
    name: String,
    cluster: Option<LocalCluster>,
}

impl Local {
    /// Answers what is pending.
    pub fn serve(&mut self) -> Result<()> {
        match &mut self.cluster {
            Some(cluster) => {
                cluster.serve();
                take_interrupt().map_or(Ok(()), |e| Err(e.into()))
            }
            None => Err(raise("ClosedError", &format!("cluster {:?} is closed", self.name))),
        }
    }
}

#[pymethods]
impl Local {
    /// Starts one: settings as JSON, and the class of its controllers.
    #[new]
    fn new(config: &str, controller: &Bound<'_, PyType>, name: &str) -> Result<Self> {
        let config = crate::server::parse_config(config)?;
        host(&config.name, controller);
        let cluster_name = config.name.clone();
        let started = LocalCluster::start::<PyRow>(config, name);
        let cluster = started.inspect_err(|_| unhost(&cluster_name))?;
        Ok(Self { name: cluster.name().to_owned(), cluster: Some(cluster) })
    }

    /// Everything that is fixed for the cluster's life, as JSON.
    fn manifest(&self) -> Result<String> {
        match &self.cluster {
            Some(cluster) => manifest_json(cluster.manifest()),
            None => Err(raise("ClosedError", &format!("cluster {:?} is closed", self.name))),
        }
    }

    /// Ends it and leaves nothing behind. Idempotent.
    fn close(&mut self) {
        self.cluster = None;
        unhost(&self.name);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        unhost(&self.name);
    }
}
