//! A cluster without processes, for unit tests and debuggers: its controllers are served on the thread that
//! calls `solve()`.

use crate::{
    client::manifest_json,
    controller::{PyRow, on_stage},
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
    cluster: Mutex<Option<Open>>,
    /// Closed from within a controller, or while one runs: done when it is done.
    ending: AtomicBool,
}

/// A cluster that runs, and the class of its controllers, which a reset may build anew.
struct Open {
    cluster: LocalCluster,
    class: Py<PyType>,
}

impl Local {
    /// Answers what is pending.
    pub fn serve(&self, py: Python<'_>) -> Result<()> {
        let closed = || raise("ClosedError", &format!("cluster {:?} is closed", self.name));
        let Ok(mut open) = self.cluster.try_lock() else {
            let why = format!("cluster {:?} runs in process, and is in the middle of a round", self.name);
            return Err(raise("MisuseError", &why));
        };
        let Open { cluster, class } = open.as_mut().ok_or_else(closed)?;
        let (_, interrupted) = on_stage(class.clone_ref(py), || cluster.serve());
        if self.ending.load(Ordering::Relaxed) {
            *open = None;
        }
        interrupted.map_or(Ok(()), |e| Err(e.into()))
    }
}

#[pymethods]
impl Local {
    /// Starts one: settings as JSON, and the class of its controllers.
    #[new]
    fn new(config: &str, controller: &Bound<'_, PyType>, name: &str) -> Result<Self> {
        let config = crate::server::parse_config(config)?;
        let class = controller.clone().unbind();
        let start = || LocalCluster::start::<PyRow>(config, name);
        let (started, interrupted) = on_stage(class.clone_ref(controller.py()), start);
        if let Some(e) = interrupted {
            return Err(e.into());
        }
        let cluster = started?;
        let (name, manifest) = (cluster.name().to_owned(), manifest_json(cluster.manifest())?);
        let cluster = Mutex::new(Some(Open { cluster, class }));
        Ok(Self { name, manifest, cluster, ending: AtomicBool::new(false) })
    }

    /// Everything that is fixed for the cluster's life, as JSON.
    fn manifest(&self) -> &str {
        &self.manifest
    }

    /// Ends it and leaves nothing behind; at the end of the round where one is served. Idempotent.
    fn close(&self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Ok(mut open) = self.cluster.try_lock() {
            *open = None;
        }
    }
}
