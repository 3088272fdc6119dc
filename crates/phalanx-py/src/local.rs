//! A cluster without processes, for unit tests and debuggers: its controllers are served on the thread that
//! calls `solve()`.

use crate::{
    client::manifest_json,
    controller::{PyRow, host, take_interrupt, unhost},
    error::{Result, raise},
};
use phalanx::local::LocalCluster;
use pyo3::{prelude::*, types::PyType};
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

/// A cluster whose controllers live in this process.
#[pyclass(frozen, module = "phalanx._core")]
pub struct Local {
    name: String,
    manifest: String,
    /// `None` once closed. Held while its controllers run, which may be anything, even a call of `close`.
    cluster: Mutex<Option<LocalCluster>>,
    /// Closed from within a controller, or while one runs: done when it is done.
    ending: AtomicBool,
}

impl Local {
    /// Answers what is pending.
    pub fn serve(&self) -> Result<()> {
        let closed = || raise("ClosedError", &format!("cluster {:?} is closed", self.name));
        let Ok(mut cluster) = self.cluster.try_lock() else {
            let why = format!("cluster {:?} runs in process, and is in the middle of a round", self.name);
            return Err(raise("MisuseError", &why));
        };
        cluster.as_mut().ok_or_else(closed)?.serve();
        if self.ending.load(Ordering::Relaxed) {
            *cluster = None;
            unhost(&self.name);
        }
        take_interrupt().map_or(Ok(()), |e| Err(e.into()))
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
        let manifest = manifest_json(cluster.manifest())?;
        let (name, cluster) = (cluster.name().to_owned(), Mutex::new(Some(cluster)));
        Ok(Self { name, manifest, cluster, ending: AtomicBool::new(false) })
    }

    /// Everything that is fixed for the cluster's life, as JSON.
    fn manifest(&self) -> &str {
        &self.manifest
    }

    /// Ends it and leaves nothing behind; at the end of the round where one is served. Idempotent.
    fn close(&self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Ok(mut cluster) = self.cluster.try_lock() {
            *cluster = None;
            unhost(&self.name);
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        unhost(&self.name);
    }
}
