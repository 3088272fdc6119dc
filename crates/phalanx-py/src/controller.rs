//! Controllers written in Python: one `RHController` in Rust that hands each call on.

use crate::field::{FieldView, Hold, Place};
use phalanx::{
    Description, Entry, Error, Group, RHController, Setup, Verdict, program, robot::QuatOrder, schema::Record,
};
use pyo3::{
    PyTraverseError, PyVisit,
    exceptions::PyKeyboardInterrupt,
    prelude::*,
    types::{PyString, PyTuple, PyType},
};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The class of each cluster hosted here, by the cluster's name; a worker's is under the empty name.
static HOSTED: Mutex<BTreeMap<String, Py<PyType>>> = Mutex::new(BTreeMap::new());

/// What a user interrupted an in-process solve with: Ctrl-C, or the end of a debugger's session.
static ENOUGH: Mutex<Option<PyErr>> = Mutex::new(None);

/// The interrupt of the solve just served, if there was one.
pub fn take_interrupt() -> Option<PyErr> {
    ENOUGH.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Sets the class of a cluster's controllers.
pub fn host(cluster: &str, class: &Bound<'_, PyType>) {
    HOSTED.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster.into(), class.clone().unbind());
}

/// Forgets the class of a cluster that has ended.
pub fn unhost(cluster: &str) {
    let class = HOSTED.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    // Only now: what goes with it may start or end other clusters.
    drop(class);
}

fn hosted<'py>(py: Python<'py>, cluster: &str) -> PyResult<Bound<'py, PyType>> {
    let hosted = HOSTED.lock().unwrap_or_else(PoisonError::into_inner);
    let class = hosted.get(cluster).or_else(|| hosted.get("")).map(|class| class.bind(py).clone());
    let none = || pyo3::exceptions::PyRuntimeError::new_err("no controller class is hosted here");
    class.ok_or_else(none)
}

/// If a server started this process as a worker, works with controllers of a class and returns the exit code;
/// otherwise returns None at once.
#[pyfunction]
pub fn run_worker(py: Python<'_>, controller: &Bound<'_, PyType>) -> Option<i32> {
    host("", controller);
    py.detach(|| program::work(&[Entry::new::<PyRow>("python")]))
}

/// A row's words, shared between a controller's arrays and us. Only ever touched by the one thread that holds
/// the interpreter.
struct Words(Arc<[AtomicU64]>);

impl Words {
    fn of(row: &[u64]) -> Self {
        Self(row.iter().map(|&word| AtomicU64::new(word)).collect())
    }

    #[inline]
    fn set(&self, row: &[u64]) {
        for (to, from) in self.0.iter().zip(row) {
            to.store(*from, Ordering::Relaxed);
        }
    }

    #[inline]
    fn get(&self, row: &mut [u64]) {
        for (to, from) in row.iter_mut().zip(&*self.0) {
            *to = from.load(Ordering::Relaxed);
        }
    }

    /// The namespace of arrays over these words.
    fn fields<'py>(&self, py: Python<'py>, record: &Record) -> PyResult<Bound<'py, PyAny>> {
        let (address, hold): (usize, Hold) = (self.0.as_ptr() as usize, Arc::new(self.0.clone()));
        let views = record.fields.iter().map(|field| {
            FieldView::new(record.group, field, (address, record.stride), None, Place::Host, hold.clone())
        });
        let views = views.map(|view| Bound::new(py, view)).collect::<PyResult<Vec<_>>>()?;
        let views = PyTuple::new(py, views)?;
        py.import("phalanx.fields")?.getattr("Fields")?.call1((record.group.to_string(), views))
    }
}

/// A row's inputs. The arrays are this row's own and the same in every round; nothing moves under the solver.
#[pyclass(module = "phalanx._core")]
pub struct Inputs {
    /// Which row.
    #[pyo3(get)]
    row: usize,
    /// Which round.
    #[pyo3(get)]
    round: u64,
    /// First solve since the row was built or reset.
    #[pyo3(get)]
    first: bool,
    /// The state's fields: arrays of one row.
    #[pyo3(get)]
    state: Py<PyAny>,
    /// The refs' fields: arrays of one row.
    #[pyo3(get)]
    refs: Py<PyAny>,
    quat_order: QuatOrder,
}

#[pymethods]
impl Inputs {
    /// An orientation of the state as a unit quaternion (w, x, y, z), whatever the client's order is; None when it
    /// is zero or not finite.
    #[pyo3(signature = (name = "root_quat"))]
    fn quat(&self, py: Python<'_>, name: &str) -> PyResult<Option<(f64, f64, f64, f64)>> {
        let raw: Vec<f64> = self.state.getattr(py, name)?.call_method0(py, "tolist")?.extract(py)?;
        let raw: [f64; 4] = raw.try_into().map_err(|raw: Vec<f64>| {
            pyo3::exceptions::PyValueError::new_err(format!(
                "{name} has {} elements, a quaternion 4",
                raw.len()
            ))
        })?;
        Ok(self.quat_order.normalised_wxyz(raw).map(|[w, x, y, z]| (w, x, y, z)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.state)?;
        visit.call(&self.refs)
    }
}

/// A row's outputs. They start from the schema's defaults in every round; what is assigned to a field is copied
/// into it.
#[pyclass(module = "phalanx._core")]
pub struct Outputs {
    /// The command's fields: arrays of one row.
    #[pyo3(get)]
    cmd: Py<PyAny>,
    /// The prediction's fields, nodes first; None unless the controller declares a prediction.
    #[pyo3(get)]
    prediction: Option<Py<PyAny>>,
    cost: f64,
    violation: f64,
    iterations: u32,
}

#[pymethods]
impl Outputs {
    /// Publishes what the solver says of its solution.
    #[pyo3(signature = (cost = 0.0, violation = 0.0, iterations = 0))]
    fn solver(&mut self, cost: f64, violation: f64, iterations: u32) {
        (self.cost, self.violation, self.iterations) = (cost, violation, iterations);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.cmd)?;
        self.prediction.as_ref().map_or(Ok(()), |p| visit.call(p))
    }
}

/// A row whose controller is an object of a Python class.
pub struct PyRow {
    controller: Py<PyAny>,
    solve: Py<PyAny>,
    inputs: Py<Inputs>,
    outputs: Py<Outputs>,
    state: Words,
    refs: Words,
    cmd: Words,
    prediction: Words,
    writes_refs: bool,
}

/// What an exception comes to: the last frames of its traceback, for the row's message. The whole goes to stderr,
/// which the server keeps.
fn words_of(py: Python<'_>, e: PyErr) -> String {
    if e.is_instance_of::<PyKeyboardInterrupt>(py) || e.get_type(py).name().is_ok_and(|n| n == "BdbQuit") {
        // Meant for whoever called `solve()` in process, not for the row. (Workers ignore SIGINT.)
        *ENOUGH.lock().unwrap_or_else(PoisonError::into_inner) = Some(e.clone_ref(py));
    }
    let told = || -> PyResult<String> {
        py.import("phalanx.controller")?.getattr("explain_exception")?.call1((e.into_value(py),))?.extract()
    };
    told().unwrap_or_else(|_| "an exception that cannot be shown".into())
}

fn refused(py: Python<'_>, e: PyErr) -> Error {
    Error::Misuse(words_of(py, e))
}

impl PyRow {
    /// Calls the controller's method with the row's inputs and outputs.
    fn ask(
        &mut self,
        py: Python<'_>,
        method: &Py<PyAny>,
        inputs: &mut phalanx::Inputs<'_>,
        outputs: &mut phalanx::Outputs<'_>,
    ) -> PyResult<Verdict> {
        self.state.set(inputs.row_words(Group::State));
        self.refs.set(inputs.row_words(Group::Refs));
        self.cmd.set(outputs.row_words(Group::Cmd));
        self.prediction.set(outputs.row_words(Group::Prediction));
        {
            let mut mine = self.inputs.borrow_mut(py);
            (mine.round, mine.first) = (inputs.round, inputs.first);
            let mut mine = self.outputs.borrow_mut(py);
            (mine.cost, mine.violation, mine.iterations) = (0.0, 0.0, 0);
        }
        let returned = method.call1(py, (&self.inputs, &self.outputs))?;
        self.cmd.get(outputs.row_words(Group::Cmd));
        self.prediction.get(outputs.row_words(Group::Prediction));
        if self.writes_refs {
            self.refs.get(inputs.follow_words());
        }
        let mine = self.outputs.borrow(py);
        outputs.solver(mine.cost, mine.violation, mine.iterations);
        verdict(py, returned)
    }
}

/// None, or what `px.degraded` and `px.failed` return.
fn verdict(py: Python<'_>, returned: Py<PyAny>) -> PyResult<Verdict> {
    if returned.is_none(py) {
        return Ok(Verdict::Solved);
    }
    let parts = (returned.getattr(py, "outcome"), returned.getattr(py, "why"));
    let (Ok(outcome), Ok(why)) = parts else {
        let type_name = returned.bind(py).get_type().name()?;
        return Err(pyo3::exceptions::PyTypeError::new_err(format!(
            "solve() returned {type_name}: return None, px.degraded(why) or px.failed(why)"
        )));
    };
    let why: Cow<'static, str> = why.extract::<String>(py)?.into();
    match outcome.bind(py).cast::<PyString>()?.to_str()? {
        "degraded" => Ok(Verdict::Degraded(why)),
        _ => Ok(Verdict::Failed(why)),
    }
}

/// A setup as JSON, for the Python side's `Setup`.
fn setup_json(setup: &Setup) -> Result<String, Error> {
    let text = serde_json::json!({ "config": setup.config, "prepared": setup.prepared });
    serde_json::to_string(&text).map_err(|e| Error::Misuse(e.to_string()))
}

impl RHController for PyRow {
    fn describe(setup: &Setup) -> Result<Description, Error> {
        let config = setup_json(setup)?;
        let text = Python::attach(|py| {
            let describe = || -> PyResult<String> {
                let class = hosted(py, &setup.config.name)?;
                py.import("phalanx.controller")?.getattr("describe")?.call1((class, config))?.extract()
            };
            describe().map_err(|e| refused(py, e))
        })?;
        serde_json::from_str(&text).map_err(|e| Error::Misuse(format!("the controller's description: {e}")))
    }

    fn build(setup: &Setup, row: usize) -> Result<Self, Error> {
        let config = setup_json(setup)?;
        let record = |group| setup.schema.record(group);
        let (state, refs, cmd) = (record(Group::State)?, record(Group::Refs)?, record(Group::Cmd)?);
        let prediction = record(Group::Prediction).ok();
        Python::attach(|py| {
            let build = || -> PyResult<Self> {
                let class = hosted(py, &setup.config.name)?;
                let module = py.import("phalanx.controller")?;
                let (controller, writes_refs): (Py<PyAny>, bool) =
                    module.getattr("build")?.call1((class, config, row))?.extract()?;
                let words = |record: &Record| Words::of(&record.default_row());
                let (state_words, refs_words, cmd_words) = (words(state), words(refs), words(cmd));
                let prediction_words = prediction.map_or(Words::of(&[]), words);
                let inputs = Inputs {
                    row,
                    round: 0,
                    first: true,
                    state: state_words.fields(py, state)?.unbind(),
                    refs: refs_words.fields(py, refs)?.unbind(),
                    quat_order: setup.config.robot.quat_order,
                };
                let outputs = Outputs {
                    cmd: cmd_words.fields(py, cmd)?.unbind(),
                    prediction: prediction
                        .map(|record| prediction_words.fields(py, record).map(Bound::unbind))
                        .transpose()?,
                    cost: 0.0,
                    violation: 0.0,
                    iterations: 0,
                };
                Ok(Self {
                    solve: controller.getattr(py, "solve")?,
                    controller,
                    inputs: Py::new(py, inputs)?,
                    outputs: Py::new(py, outputs)?,
                    state: state_words,
                    refs: refs_words,
                    cmd: cmd_words,
                    prediction: prediction_words,
                    writes_refs,
                })
            };
            build().map_err(|e| refused(py, e))
        })
    }

    fn reset(&mut self) {
        self.call_reset(None);
    }

    fn reset_seeded(&mut self, seed: u64) {
        self.call_reset(Some(seed));
    }

    fn solve(&mut self, inputs: &mut phalanx::Inputs<'_>, outputs: &mut phalanx::Outputs<'_>) -> Verdict {
        let answered = Python::attach(|py| {
            let method = self.solve.clone_ref(py);
            self.ask(py, &method, inputs, outputs).map_err(|e| words_of(py, e))
        });
        // Unwound without the panic hook: the traceback is on stderr already.
        answered.unwrap_or_else(|words| resume_unwind(Box::new(words)))
    }

    fn around<R>(serve: impl FnOnce() -> R) -> R {
        Python::attach(|_| serve())
    }

    fn safe(&mut self, inputs: &mut phalanx::Inputs<'_>, outputs: &mut phalanx::Outputs<'_>) {
        let answered = Python::attach(|py| {
            let method = self.controller.getattr(py, "safe").map_err(|e| words_of(py, e))?;
            self.ask(py, &method, inputs, outputs).map(|_| ()).map_err(|e| words_of(py, e))
        });
        answered.unwrap_or_else(|words: String| resume_unwind(Box::new(words)));
    }
}

impl PyRow {
    fn call_reset(&mut self, seed: Option<u64>) {
        let done = Python::attach(|py| {
            let reset = || py.import("phalanx.controller")?.getattr("reset")?.call1((&self.controller, seed));
            reset().map(|_| ()).map_err(|e| words_of(py, e))
        });
        done.unwrap_or_else(|words| resume_unwind(Box::new(words)));
    }
}
