//! The mathematics of a row: what a controller's author writes, and what they are given.
//!
//! A controller knows nothing of processes, memory or other rows. It is built once per row, then asked:
//! inputs in, outputs out. See `examples/custom_mpc.rs` for a complete one.

use crate::{
    Error, Result,
    config::ClusterConfig,
    fields::{PredictionSpec, StatusRow},
    outcome::Reason,
    params::{Parameter, Parameters},
    rates::Rates,
    robot::{QuatOrder, RobotSpec},
    schema::{Field, Group, Handle, Schema},
};
use phalanx_shm::{Bool, Element};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::borrow::Cow;

/// How a controller answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A complete answer.
    Solved,
    /// A usable answer that it is not content with.
    Degraded(Cow<'static, str>),
    /// No usable answer, and why. The row is held by the cluster's policy until it is reset.
    Failed(Cow<'static, str>),
}

/// What a controller type says of itself before any row is built.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Its run-time references, with units, frames and defaults.
    #[serde(default)]
    pub refs: Vec<Field>,
    /// It changes refs it does not follow as given (clamped values, an advanced phase); the client then sees
    /// the refs that were followed.
    #[serde(default)]
    pub writes_refs: bool,
    /// Its predictions, if it publishes any.
    #[serde(default)]
    pub prediction: Option<PredictionSpec>,
    /// The time step it was written for, s; compared with `cluster_dt`.
    #[serde(default)]
    pub dt: Option<f64>,
    /// Its parameters, for people. Filled in by the library where left empty, from [`RHController::params`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Parameter>,
    /// Why it cannot serve the cluster it was asked about; all it says besides are its parameters. Filled in by the
    /// library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What its one-time preparation came to, for all rows to be built from ([`Setup::prepared`]).
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub prepared: serde_json::Value,
    /// Several threads of one worker may each hold some of its rows. Filled in by the library.
    #[serde(default)]
    pub threads: bool,
}

impl Description {
    /// What a controller with these parameters told, be it that it refuses.
    pub(crate) fn with(params: Vec<Parameter>, told: Result<Self>) -> Result<Self> {
        match told {
            Ok(told) if told.params.is_empty() => Ok(Self { params, ..told }),
            Err(Error::Config(why)) if !params.is_empty() => {
                Ok(Self { params, refused: Some(why), ..Self::default() })
            }
            told => told,
        }
    }
}

/// What a controller is built from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// All settings of the cluster.
    pub config: ClusterConfig,
    /// All fields of the cluster. Empty while the controller describes itself, for what it says is part of it.
    pub schema: Schema,
    /// What the controller prepared when it described itself, once for all rows ([`Description::prepared`]).
    pub prepared: serde_json::Value,
    /// It said that it changes refs ([`Description::writes_refs`]); false while it describes itself.
    pub writes_refs: bool,
}

impl Setup {
    /// For a controller that is about to describe itself.
    pub(crate) fn of(config: &ClusterConfig) -> Self {
        let config = config.as_controllers_see_it();
        let schema = Schema { records: Vec::new() };
        Self { config, schema, prepared: serde_json::Value::Null, writes_refs: false }
    }

    /// The robot.
    pub fn robot(&self) -> &RobotSpec {
        &self.config.robot
    }

    /// The rates of simulator and cluster.
    pub fn rates(&self) -> Result<Rates> {
        Ok(Rates::new(self.config.control_dt, self.config.cluster_dt)?)
    }

    /// The controller's parameters as its own type. Give it `#[serde(deny_unknown_fields, default)]`.
    pub fn params<P: DeserializeOwned>(&self) -> Result<P> {
        let table = toml::Value::Table(self.config.params.clone());
        table.try_into().map_err(|e: toml::de::Error| {
            // In two lines: what, and in which parameter.
            let said = e.to_string();
            Error::Config(format!("params: {}", said.trim_end().replace('\n', " ")))
        })
    }

    /// The controller's parameters as [`crate::params!`] declared them, checked.
    pub fn checked_params<P: Parameters>(&self) -> Result<P> {
        let params = self.params::<P>()?;
        params.check().map(|()| params)
    }

    /// A field of the state.
    pub fn state<T: Element>(&self, name: &str) -> Result<Handle<T>> {
        self.schema.record(Group::State)?.handle(name)
    }

    /// One of the controller's own references.
    pub fn refs<T: Element>(&self, name: &str) -> Result<Handle<T>> {
        self.schema.record(Group::Refs)?.handle(name)
    }

    /// Whether a reference is meant ([`Inputs::means`]): a client may leave it to the controller.
    pub fn meant(&self, name: &str) -> Result<Meant> {
        let refs = self.schema.record(Group::Refs)?;
        refs.field(name)?;
        let declared = refs.field("valid")?.labels.iter().position(|label| label == name);
        let declared = declared.ok_or_else(|| Error::Misuse(format!("refs.{name} is always meant")))?;
        Ok(Meant { valid: refs.handle("valid")?, declared })
    }

    /// A field of the command.
    pub fn cmd<T: Element>(&self, name: &str) -> Result<Handle<T>> {
        self.schema.record(Group::Cmd)?.handle(name)
    }

    /// A field of the prediction.
    pub fn prediction<T: Element>(&self, name: &str) -> Result<Handle<T>> {
        self.schema.record(Group::Prediction)?.handle(name)
    }
}

/// Where a client says whether it means a reference.
#[derive(Clone, Copy, Debug)]
pub struct Meant {
    valid: Handle<Bool>,
    declared: usize,
}

/// A row's inputs: a private copy, nothing moves under the solver.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// Which row.
    pub row: usize,
    /// Which round.
    pub round: u64,
    /// First solve since the row was built or reset.
    pub first: bool,
    /// What the row was reset with just before, if it was given a seed.
    pub seed: Option<u64>,
    pub(crate) state: &'a [u64],
    pub(crate) refs: &'a mut [u64],
    pub(crate) quat_order: QuatOrder,
}

impl Inputs<'_> {
    /// A field of the state or of the refs.
    #[inline]
    pub fn get<T: Element>(&self, handle: Handle<T>) -> &[T] {
        match handle.group {
            Group::State => handle.of(self.state),
            Group::Refs => handle.of(self.refs),
            other => panic!("{other} is no input"),
        }
    }

    /// Is the reference meant? Else the controller chooses its value.
    #[inline]
    pub fn means(&self, meant: Meant) -> bool {
        self.get(meant.valid)[meant.declared].get()
    }

    /// The first (or only) element of a field.
    #[inline]
    pub fn scalar<T: Element>(&self, handle: Handle<T>) -> T {
        self.get(handle)[0]
    }

    /// An orientation of the state as a unit quaternion in the order w, x, y, z, whatever the client's order is.
    /// `None` when it is zero or not finite.
    pub fn quat<T: Element>(&self, handle: Handle<T>) -> Option<[f64; 4]> {
        let raw: [f64; 4] = std::array::from_fn(|i| self.get(handle)[i].to_f64());
        self.quat_order.normalised_wxyz(raw)
    }

    /// One of the refs, to write back what is really followed (see [`Description::writes_refs`]).
    #[inline]
    pub fn follow<T: Element>(&mut self, handle: Handle<T>) -> &mut [T] {
        assert_eq!(handle.group, Group::Refs, "only refs are followed");
        handle.of_mut(self.refs)
    }

    /// The whole row of the state or of the refs, for bindings of other languages: fields lie in its bytes as
    /// the schema's record says. Panics for a group that is no input.
    #[inline]
    pub fn row_words(&self, group: Group) -> &[u64] {
        match group {
            Group::State => self.state,
            Group::Refs => self.refs,
            other => panic!("{other} is no input"),
        }
    }

    /// The whole row of the refs, as [`Inputs::row_words`], to write back what is really followed.
    #[inline]
    pub fn follow_words(&mut self) -> &mut [u64] {
        self.refs
    }
}

/// A row's outputs. They start from the schema's defaults in every round.
#[derive(Debug)]
pub struct Outputs<'a> {
    pub(crate) cmd: &'a mut [u64],
    pub(crate) prediction: &'a mut [u64],
    pub(crate) status: &'a mut StatusRow,
}

impl Outputs<'_> {
    /// A field of the command or of the prediction, to write.
    #[inline]
    pub fn get<T: Element>(&mut self, handle: Handle<T>) -> &mut [T] {
        match handle.group {
            Group::Cmd => handle.of_mut(self.cmd),
            Group::Prediction => handle.of_mut(self.prediction),
            other => panic!("{other} is no output"),
        }
    }

    /// Writes a field; panics (an outcome of the row) when the lengths differ.
    #[inline]
    pub fn set<T: Element>(&mut self, handle: Handle<T>, values: &[T]) {
        self.get(handle).copy_from_slice(values);
    }

    /// The whole row of the command or of the prediction (empty where the controller declares none), for bindings
    /// of other languages: fields lie in its bytes as the schema's record says. Panics for a group that is no
    /// output.
    #[inline]
    pub fn row_words(&mut self, group: Group) -> &mut [u64] {
        match group {
            Group::Cmd => self.cmd,
            Group::Prediction => self.prediction,
            other => panic!("{other} is no output"),
        }
    }

    /// Publishes what the solver says of its solution.
    pub fn solver(&mut self, cost: f64, violation: f64, iterations: u32) {
        self.status.cost = cost;
        self.status.violation = violation;
        self.status.iterations = iterations;
    }
}

/// One row's controller.
pub trait RHController: Sized + 'static {
    /// What can be set: `Params::table()` of what [`crate::params!`] declared.
    fn params() -> Vec<Parameter> {
        Vec::new()
    }

    /// What the type says of itself before any row is built: its refs, predictions, time step.
    fn describe(_setup: &Setup) -> Result<Description> {
        Ok(Description::default())
    }

    /// Builds the controller of a row. Look fields up here, once.
    fn build(setup: &Setup, row: usize) -> Result<Self>;

    /// Forgets everything but what it was built from.
    fn reset(&mut self);

    /// As [`RHController::reset`], which it is by default, called in its place when the client gives a seed: what
    /// is random in this controller begins anew from it, so that runs repeat.
    fn reset_seeded(&mut self, _seed: u64) {
        self.reset();
    }

    /// Answers one round. Panics are caught and become the row's outcome.
    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict;

    /// Runs around the rows of a round that one thread serves in a go. For controllers that need something held
    /// meanwhile: an interpreter's lock, say, which would else be taken once per row.
    fn around<R>(serve: impl FnOnce() -> R) -> R {
        serve()
    }

    /// The command under the policy `safe`. By default what the outputs start from: homing.
    fn safe(&mut self, _inputs: &mut Inputs<'_>, _outputs: &mut Outputs<'_>) {}
}

/// A controller that solves many rows at once (SIMD lanes, batched kernels).
pub trait RHGroup: Sized + 'static {
    /// As [`RHController::params`].
    fn params() -> Vec<Parameter> {
        Vec::new()
    }

    /// As [`RHController::describe`].
    fn describe(_setup: &Setup) -> Result<Description> {
        Ok(Description::default())
    }

    /// Builds the controllers of some rows.
    fn build(setup: &Setup, rows: std::ops::Range<usize>) -> Result<Self>;

    /// Forgets a row's past.
    fn reset(&mut self, row: usize);

    /// As [`RHController::reset_seeded`], for a row.
    fn reset_seeded(&mut self, row: usize, _seed: u64) {
        self.reset(row);
    }

    /// Answers one round of the batch's rows.
    fn solve(&mut self, batch: &mut Batch);

    /// As [`RHController::safe`], for a row.
    fn safe(&mut self, _lane: &mut Lane<'_>) {}
}

/// The rows a group is asked for in one round.
#[derive(Debug)]
pub struct Batch {
    pub(crate) lanes: Vec<LaneBuffer>,
    pub(crate) len: usize,
    pub(crate) quat_order: QuatOrder,
}

/// One row within a [`Batch`].
#[derive(Debug)]
pub struct Lane<'a> {
    /// What it is given.
    pub inputs: Inputs<'a>,
    /// Where it answers.
    pub outputs: Outputs<'a>,
    /// How it answers; `Solved` unless changed.
    pub verdict: &'a mut Verdict,
}

impl Batch {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No rows?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lane number `i`, in ascending order of rows.
    pub fn lane(&mut self, i: usize) -> Lane<'_> {
        self.lanes[..self.len][i].lane(self.quat_order)
    }
}

/// A row's private copies, and how it went.
#[derive(Clone, Debug)]
pub(crate) struct LaneBuffer {
    /// The thread of its worker that fills it, from 0.
    pub thread: usize,
    /// As controllers number them.
    pub row: usize,
    pub round: u64,
    /// How many rows are solved in one go with this one, itself among them.
    pub together: usize,
    pub first: bool,
    /// The controller is to be reset before it is asked.
    pub reset: bool,
    /// With this seed.
    pub seed: Option<u64>,
    /// Why the controller is not, or was not well, asked.
    pub reason: Reason,
    pub state: Vec<u64>,
    pub refs: Vec<u64>,
    /// The refs as the controller is given them, kept where it changes them and the history holds inputs; else empty.
    pub given: Vec<u64>,
    pub cmd: Vec<u64>,
    pub prediction: Vec<u64>,
    /// Mask and values of an operator.
    pub overrides: Vec<u64>,
    pub status: StatusRow,
    pub verdict: Verdict,
}

impl LaneBuffer {
    pub fn lane(&mut self, quat_order: QuatOrder) -> Lane<'_> {
        Lane {
            inputs: Inputs {
                row: self.row,
                round: self.round,
                first: self.first,
                seed: self.seed,
                state: &self.state,
                refs: &mut self.refs,
                quat_order,
            },
            outputs: Outputs {
                cmd: &mut self.cmd,
                prediction: &mut self.prediction,
                status: &mut self.status,
            },
            verdict: &mut self.verdict,
        }
    }
}
