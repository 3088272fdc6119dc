//! A cluster that lives inside this process.

use crate::{
    client::{manifest_json, without_place},
    error::{Raised, Result, raise},
    fork::Home,
    log,
};
use phalanx::{ClusterConfig, ClusterServer, Controller, Error, Observer, StartPhase};
use pyo3::{prelude::*, types::PyDict};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The server of a cluster. `phalanx.Cluster` is made of it.
#[pyclass(frozen, weakref, module = "phalanx._core")]
pub struct Server {
    home: Home,
    name: String,
    manifest: String,
    /// `None` once closed.
    open: Mutex<Option<Open>>,
}

struct Open {
    server: ClusterServer,
    observer: Observer,
}

/// Settings from JSON, unchecked but for their names.
pub fn parse_config(text: &str) -> Result<ClusterConfig> {
    serde_json::from_str(text).map_err(|e| raise("ConfigError", &format!("config: {}", without_place(&e))))
}

/// The settings in a TOML file, as JSON, with `robot_file` relative to it.
#[pyfunction]
pub fn load_config(path: PathBuf) -> Result<String> {
    let config = ClusterConfig::from_toml_file(&path)?;
    serde_json::to_string(&config).map_err(|e| raise("ConfigError", &e.to_string()))
}

impl Server {
    fn with<T>(&self, f: impl FnOnce(&Open) -> T) -> Result<T> {
        self.home.check()?;
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map(f).ok_or_else(|| self.closed())
    }

    fn closed(&self) -> Raised {
        raise("ClosedError", &format!("cluster {:?} is closed", self.name))
    }
}

#[pymethods]
impl Server {
    /// Starts a cluster and returns when all controllers are built. `progress(phase, built, rows)` is called
    /// now and then. Ctrl-C, or an exception in `progress`, ends the start and leaves nothing behind.
    #[new]
    #[pyo3(signature = (config, program, args, *, hosted = "", name = "", progress = None))]
    fn new(
        py: Python<'_>,
        config: &str,
        program: PathBuf,
        args: Vec<std::ffi::OsString>,
        hosted: &str,
        name: &str,
        progress: Option<Py<PyAny>>,
    ) -> Result<Self> {
        let config = parse_config(config)?;
        let mut controller = controller(&program, args, hosted)?;
        if !name.is_empty() {
            controller.name = name.into();
        }
        let mut raised = None;
        let started = py.detach(|| {
            ClusterServer::start_with(config, controller, |now| {
                let told = Python::attach(|py| -> PyResult<()> {
                    py.check_signals()?;
                    if let Some(progress) = &progress {
                        let (built, rows): (usize, usize) = (now.built.iter().sum(), now.rows.iter().sum());
                        let phase = match now.phase {
                            StartPhase::Describing => "describing",
                            StartPhase::Building => "building",
                        };
                        progress.call1(py, (phase, built, rows))?;
                    }
                    Ok(())
                });
                match told {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(e) => {
                        raised = Some(e);
                        ControlFlow::Break(())
                    }
                }
            })
        });
        log::bring(py);
        let server = match (started, raised) {
            (Err(Error::StartInterrupted), Some(e)) => return Err(e.into()),
            (started, _) => started?,
        };
        let manifest = manifest_json(server.manifest())?;
        let observer = Observer::attach(server.name())?;
        let name = server.name().to_owned();
        Ok(Self { home: Home::here(), name, manifest, open: Mutex::new(Some(Open { server, observer })) })
    }

    /// The cluster's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Everything that is fixed for the cluster's life, as JSON.
    fn manifest(&self) -> &str {
        &self.manifest
    }

    /// Names of clusters whose processes had all been killed, and whose memory was freed by this start.
    fn reclaimed(&self) -> Result<Vec<String>> {
        self.with(|open| open.server.reclaimed().to_vec())
    }

    /// What a worker printed last, a line each.
    fn log(&self, worker: usize) -> Result<Vec<String>> {
        self.with(|open| {
            let workers = open.server.manifest().plan.workers.len();
            if worker >= workers {
                let why = format!("worker {worker} of {workers}: workers count from 0");
                return Err(raise("MisuseError", &why));
            }
            Ok(open.server.log(worker))
        })?
    }

    /// The workers: dicts of worker, pid (0 for none), state, generation, first_row, rows and deaths.
    fn workers<'py>(&self, py: Python<'py>) -> Result<Vec<Bound<'py, PyDict>>> {
        let workers = self.with(|open| open.observer.workers())?;
        let dict = |view: phalanx::observer::WorkerView| -> PyResult<Bound<'py, PyDict>> {
            let dict = PyDict::new(py);
            dict.set_item("worker", view.worker)?;
            dict.set_item("pid", view.pid)?;
            dict.set_item("state", format!("{:?}", view.state).to_lowercase())?;
            dict.set_item("generation", view.generation)?;
            dict.set_item("first_row", view.first_row)?;
            dict.set_item("rows", view.rows)?;
            dict.set_item("deaths", view.deaths)?;
            dict.set_item("cores", view.cores)?;
            Ok(dict)
        };
        Ok(workers.into_iter().map(dict).collect::<PyResult<_>>()?)
    }

    /// The last round that was triggered.
    #[getter]
    fn round(&self) -> Result<u64> {
        self.with(|open| open.observer.round())
    }

    /// Has it been closed?
    #[getter]
    fn is_closed(&self) -> bool {
        self.with(|_| ()).is_err()
    }

    /// Ends the workers and removes the arena: bounded, who does not go is killed. Idempotent.
    fn close(&self, py: Python<'_>) {
        if !self.home.is_here() {
            return;
        }
        py.detach(|| {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(open);
        });
        log::bring(py);
    }
}

fn controller(program: &Path, args: Vec<std::ffi::OsString>, hosted: &str) -> Result<Controller> {
    let controller = Controller::program(program)?.args(args);
    Ok(if hosted.is_empty() { controller } else { controller.hosted(hosted) })
}
