//! Controllers written in Python: one `RHController` in Rust that hands each call on.

use crate::field::{FieldView, Hold, Place};
use phalanx::{
    Description, Entry, Error, Group, RHController, Setup, Verdict, program, robot::QuatOrder, schema::Record,
};
use phalanx_shm::{copy_in, copy_out, sync::AtomicU64};
use pyo3::{
    PyTraverseError, PyVisit,
    exceptions::PyKeyboardInterrupt,
    prelude::*,
    types::{PyString, PyTuple, PyType},
};
use std::{
    borrow::Cow,
    cell::RefCell,
    panic::resume_unwind,
    sync::{Arc, OnceLock},
};

/// The class of the controllers of this process, if it is a worker.
static MINE: OnceLock<Py<PyType>> = OnceLock::new();

thread_local! {
    /// The clusters without processes that this thread is inside of, innermost last: one that a controller of
    /// another starts or solves lies above that.
    static STAGES: RefCell<Vec<Stage>> = const { RefCell::new(Vec::new()) };
}

/// A cluster without processes whose controllers run on this thread.
struct Stage {
    class: Py<PyType>,
    /// What the user interrupted them with: Ctrl-C, or the end of a debugger's session.
    enough: Option<PyErr>,
}

/// Takes its stage away, also when what ran there panics.
struct Left;

impl Left {
    fn take() -> Option<Stage> {
        STAGES.with_borrow_mut(Vec::pop)
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        // Dropped with no borrow held: what goes with it may start or end other clusters.
        drop(Self::take());
    }
}

/// Runs what builds or asks controllers of a class on this thread; also says what they were interrupted with.
pub fn on_stage<R>(class: Py<PyType>, run: impl FnOnce() -> R) -> (R, Option<PyErr>) {
    STAGES.with_borrow_mut(|stages| stages.push(Stage { class, enough: None }));
    let left = Left;
    let came_to = run();
    std::mem::forget(left);
    (came_to, Left::take().and_then(|stage| stage.enough))
}

fn hosted(py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
    let on_stage = STAGES.with_borrow(|stages| stages.last().map(|stage| stage.class.clone_ref(py)));
    let class = on_stage.or_else(|| MINE.get().map(|class| class.clone_ref(py)));
    let none = || pyo3::exceptions::PyRuntimeError::new_err("no controller class is hosted here");
    class.map(|class| class.into_bound(py)).ok_or_else(none)
}

/// If a server started this process as a worker, works with controllers of a class and returns the exit code;
/// otherwise returns None at once.
#[pyfunction]
pub fn run_worker(py: Python<'_>, controller: &Bound<'_, PyType>) -> Option<i32> {
    // Once only: a process is one worker.
    let _ = MINE.set(controller.clone().unbind());
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
        copy_out(row, &self.0);
    }

    #[inline]
    fn get(&self, row: &mut [u64]) {
        copy_in(&self.0, row);
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
        // Meant for whoever starts or solves in process, not for the row. (Workers ignore SIGINT.)
        let former = STAGES.with_borrow_mut(|stages| {
            stages.last_mut().and_then(|stage| stage.enough.replace(e.clone_ref(py)))
        });
        drop(former);
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
                let class = hosted(py)?;
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
                let class = hosted(py)?;
                let module = py.import("phalanx.controller")?;
                let controller = module.getattr("build")?.call1((class, config, row))?.unbind();
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
                    writes_refs: setup.writes_refs,
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
