//! The parameters: a model, its weights and bounds as matrices, and how its states and inputs are called.

use phalanx::{
    Error, Result, Setup,
    params::{OneOf, Range, Takes, UpTo, at_least, positive},
};
use phalanx_ocp::{
    lanes::Isa,
    lq::{
        Bounds, MOST_ITERATIONS, Method, Problem, Rows, Settings, Soft, Stage, Terminal, problem::MAX_HORIZON,
    },
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A weight: its diagonal, or all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Weight {
    /// The diagonal.
    Diagonal(Vec<f64>),
    /// Rows.
    Full(Vec<Vec<f64>>),
}

/// A matrix for all stages, or one each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Matrix {
    /// Rows, for all stages.
    Same(Vec<Vec<f64>>),
    /// Rows, stage by stage.
    Each(Vec<Vec<Vec<f64>>>),
}

/// A vector for all stages, or one each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Vector {
    /// For all stages.
    Same(Vec<f64>),
    /// Stage by stage.
    Each(Vec<Vec<f64>>),
}

/// A bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Limit {
    /// A finite number.
    At(f64),
    /// `"none"`.
    Not(NoLimit),
}

/// No bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum NoLimit {
    /// `"none"`.
    #[serde(rename = "none")]
    None,
}

/// What overstepping bounds by σ costs: `l1·σ + ½·l2·σ²`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Per unit. Default 0.
    #[serde(default)]
    pub l1: f64,
    /// Per half unit squared; greater than 0.
    pub l2: f64,
}

/// Bounds on a sum of states and inputs, at every stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Row {
    /// Factors of the states. Default 0.
    pub x: Vec<f64>,
    /// Factors of the inputs. Default 0.
    pub u: Vec<f64>,
    /// Default none.
    pub min: Option<f64>,
    /// Default none.
    pub max: Option<f64>,
    /// Default hard.
    pub soft: Option<Price>,
}

/// Which method solves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// By size and kind of the problem.
    #[default]
    Auto,
    /// Interior point, in lanes of rows.
    InteriorPoint,
    /// Active set, row by row.
    ActiveSet,
}

impl Chosen {
    /// Their names.
    pub const NAMES: [&'static str; 3] = ["auto", "interior_point", "active_set"];
}

/// Numbers, or `"none"` where there is no bound.
#[derive(Clone, Copy, Debug)]
struct OrNone;

impl Takes for OrNone {
    fn takes(&self, value: f64) -> bool {
        value.is_finite()
    }
    fn words(&self, _unit: &str) -> String {
        "a finite number, or \"none\" for no bound".into()
    }
}

phalanx::params! {
    /// Parameters of the controller. States and inputs are in SI units, as the fields they stand for.
    #[allow(non_snake_case, reason = "matrices are called what they are called everywhere")]
    pub struct Params {
        /// What the model's states are called in the cluster's state: `joint_q.knee`, `root_pos[2]`. One per row of A.
        states: Vec<String> = Vec::new(), "";
        /// What its inputs are called in the command: `joint_effort.knee`. One per column of B.
        inputs: Vec<String> = Vec::new(), "";
        /// Rows of the matrix A of the model x₊ = A x + B u + c over one step of the horizon; or such a matrix for each
        /// stage.
        A: Matrix = Matrix::Same(Vec::new()), "";
        /// Rows of its B, or for each stage.
        B: Matrix = Matrix::Same(Vec::new()), "";
        /// Its c, or one for each stage; 0 where it is left out.
        c: Option<Vector> = None, "";
        /// Weight of the states' distance from `x_ref`, each stage: a diagonal, or rows.
        Q: Option<Weight> = None, "";
        /// Weight of the inputs' distance from `u_ref`, each stage: a diagonal, or rows.
        R: Option<Weight> = None, "";
        /// Weight of the states' distance at the end; Q where it is left out.
        Qf: Option<Weight> = None, "";
        /// Stages.
        horizon: usize = 20, "", Range(1.0, MAX_HORIZON as f64);
        /// Duration of a stage, compared with the cluster's; the cluster's where it is left out.
        dt: Option<f64> = None, "s", positive;
        /// Least inputs.
        u_min: Option<Vec<Limit>> = None, "", OrNone;
        /// Greatest inputs.
        u_max: Option<Vec<Limit>> = None, "", OrNone;
        /// Least states.
        x_min: Option<Vec<Limit>> = None, "", OrNone;
        /// Greatest states.
        x_max: Option<Vec<Limit>> = None, "", OrNone;
        /// What overstepping `x_min` and `x_max` by σ costs, l1·σ + ½·l2·σ², as `{ l1 = 0, l2 = 100 }`; they are hard
        /// where it is left out.
        x_soft: Option<Price> = None, "", at_least(0.0);
        /// Bounds on sums of states and inputs at every stage, as `{ x = [1, 0], u = [1], min = 0, max = 1, soft = { l2 =
        /// 100 } }`, of which all but one of x and u may be left out.
        rows: Vec<Row> = Vec::new(), "";
        /// Default of the ref of the same name; 0 where it is left out.
        x_ref: Option<Vec<f64>> = None, "";
        /// Default of the ref of the same name; 0 where it is left out.
        u_ref: Option<Vec<f64>> = None, "";
        /// Estimate what constantly disturbs the model, and aim where it can rest nevertheless.
        offset_free: bool = false, "";
        /// How much of what the model got wrong a step goes into that estimate.
        disturbance_gain: f64 = 0.2, "", UpTo(1.0);
        /// Which method solves: by size and kind of the problem, or a certain one.
        method: Chosen = Chosen::Auto, "", OneOf(&Chosen::NAMES);
        /// Iterations at the most.
        max_iterations: u32 = Settings::default().max_iterations, "", Range(1.0, f64::from(MOST_ITERATIONS));
        /// How far bounds may be overstepped, of their width.
        tolerance: f64 = Settings::default().tolerance, "", Range(1e-12, 0.1);
        /// Rows solved at once: as many as this CPU has lanes, or 0 for what is best. Answers do not depend on it.
        lanes: usize = 0, "", OneOf(&Isa::CHOICES);
    }
}

/// The parameters, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The problem.
    pub problem: Problem,
    /// How to solve it.
    pub settings: Settings,
    /// Default of the ref.
    pub x_ref: Vec<f64>,
    /// Default of the ref.
    pub u_ref: Vec<f64>,
}

fn wrong(name: &str, what: impl std::fmt::Display) -> Error {
    Error::Config(format!("params: {name}: {what}"))
}

impl Params {
    /// Of a cluster, and what they come to.
    pub fn of(setup: &Setup) -> Result<(Self, Plan)> {
        let params: Self = setup.checked_params()?;
        let plan = params.plan()?;
        Ok((params, plan))
    }

    /// Names what does not go together, or says what they come to.
    fn plan(&self) -> Result<Plan> {
        let (nx, nu) = (self.states.len(), self.inputs.len());
        for (name, list) in [("states", &self.states), ("inputs", &self.inputs)] {
            if list.is_empty() {
                return Err(wrong(name, "name at least one field, as in [\"joint_q.knee\"]"));
            }
            if let Some(twice) = list.iter().enumerate().find(|(i, n)| list[..*i].contains(n)) {
                return Err(wrong(name, format_args!("{} is named twice", twice.1)));
            }
        }
        let settings = self.settings();
        settings.check().map_err(|e| Error::Config(format!("params: {e}")))?;
        let varying = matches!(self.A, Matrix::Each(_))
            || matches!(self.B, Matrix::Each(_))
            || matches!(self.c, Some(Vector::Each(_)));
        if self.offset_free && varying {
            return Err(wrong("offset_free", "needs one A, one B and one c for all stages"));
        }
        let q = weight("Q", self.Q.as_ref(), nx, false)?;
        let r = weight("R", self.R.as_ref(), nu, true)?;
        let qf = if self.Qf.is_some() { weight("Qf", self.Qf.as_ref(), nx, false)? } else { q.clone() };
        let u_bounds = bounds(("u_min", &self.u_min), ("u_max", &self.u_max), nu)?;
        let mut x_bounds = bounds(("x_min", &self.x_min), ("x_max", &self.x_max), nx)?;
        if let Some(price) = self.x_soft {
            x_bounds = x_bounds.softened(soft("x_soft", price)?);
        }
        let rows = self.general(nx, nu)?;
        let stage = |k: usize| -> Result<Stage> {
            let a = matrix("A", &self.A, k, self.horizon, nx, nx)?;
            let b = matrix("B", &self.B, k, self.horizon, nx, nu)?;
            let mut stage = Stage::new(&a, &b, &q, &r);
            stage.c = match &self.c {
                None => vec![0.0; nx],
                Some(Vector::Same(c)) => vector("c", Some(c), nx)?,
                Some(Vector::Each(c)) => vector("c", Some(of_stage("c", c, k, self.horizon)?), nx)?,
            };
            (stage.x_bounds, stage.u_bounds, stage.rows) = (x_bounds.clone(), u_bounds.clone(), rows.clone());
            Ok(stage)
        };
        let mut terminal = Terminal::new(&qf);
        terminal.x_bounds = x_bounds.clone();
        let problem = match varying {
            true => Problem::ltv(
                (0..self.horizon).map(|k| stage(k).map(Arc::new)).collect::<Result<_>>()?,
                terminal,
            ),
            false => Problem::lti(stage(0)?, terminal, self.horizon),
        };
        let problem = problem.map_err(|e| Error::Config(format!("params: {e}")))?;
        let x_ref = vector("x_ref", self.x_ref.as_ref(), nx)?;
        let u_ref = vector("u_ref", self.u_ref.as_ref(), nu)?;
        Ok(Plan { problem, settings, x_ref, u_ref })
    }

    fn settings(&self) -> Settings {
        let method = match self.method {
            Chosen::Auto => Method::Auto,
            Chosen::InteriorPoint => Method::InteriorPoint,
            Chosen::ActiveSet => Method::ActiveSet,
        };
        Settings {
            method,
            max_iterations: self.max_iterations,
            tolerance: self.tolerance,
            multipliers: false,
        }
    }

    fn general(&self, nx: usize, nu: usize) -> Result<Rows> {
        let mut all = Rows { x: Vec::new(), u: Vec::new(), bounds: Bounds::none(0) };
        for (i, row) in self.rows.iter().enumerate() {
            let name = format!("rows[{i}]");
            if row.x.is_empty() && row.u.is_empty() {
                return Err(wrong(&name, "give factors of states (x) or inputs (u)"));
            }
            for (to, part, given, len) in [(&mut all.x, "x", &row.x, nx), (&mut all.u, "u", &row.u, nu)] {
                let given = if given.is_empty() { None } else { Some(given) };
                to.extend(vector(&format!("{name}.{part}"), given, len)?);
            }
            let (min, max) = (row.min.map(|v| vec![Limit::At(v)]), row.max.map(|v| vec![Limit::At(v)]));
            let one = bounds((&format!("{name}.min"), &min), (&format!("{name}.max"), &max), 1)?;
            all.bounds.lower.extend(one.lower);
            all.bounds.upper.extend(one.upper);
            let price = row.soft.map(|price| soft(&format!("{name}.soft"), price));
            all.bounds.soft.push(price.transpose()?);
        }
        Ok(all)
    }
}

fn soft(name: &str, Price { l1, l2 }: Price) -> Result<Soft> {
    match l1 >= 0.0 && l2 > 0.0 {
        true => Ok(Soft { l1, l2 }),
        false => Err(wrong(name, format_args!("l1 = {l1}, l2 = {l2}; give l1 ≥ 0 and l2 > 0"))),
    }
}

fn vector(name: &str, given: Option<&Vec<f64>>, len: usize) -> Result<Vec<f64>> {
    match given {
        None => Ok(vec![0.0; len]),
        Some(given) if given.len() == len => Ok(given.clone()),
        Some(given) => Err(wrong(name, format_args!("{} numbers where {len} are due", given.len()))),
    }
}

fn of_stage<'a, T>(name: &str, each: &'a [T], k: usize, horizon: usize) -> Result<&'a T> {
    match each.len() == horizon {
        true => Ok(&each[k]),
        false => Err(wrong(name, format_args!("{} stages where the horizon has {horizon}", each.len()))),
    }
}

fn matrix(
    name: &str,
    given: &Matrix,
    k: usize,
    horizon: usize,
    rows: usize,
    columns: usize,
) -> Result<Vec<f64>> {
    let given = match given {
        Matrix::Same(same) => same,
        Matrix::Each(each) => of_stage(name, each, k, horizon)?,
    };
    full(name, given, rows, columns)
}

fn full(name: &str, given: &[Vec<f64>], rows: usize, columns: usize) -> Result<Vec<f64>> {
    if given.len() != rows || given.iter().any(|row| row.len() != columns) {
        let widths: Vec<usize> = given.iter().map(Vec::len).collect();
        let what =
            format_args!("{} rows of {widths:?} numbers where {rows} rows of {columns} are due", given.len())
                .to_string();
        return Err(wrong(name, what));
    }
    vector(name, Some(&given.concat()), rows * columns)
}

fn weight(name: &str, given: Option<&Weight>, n: usize, definite: bool) -> Result<Vec<f64>> {
    let all = match given {
        None => return Err(wrong(name, format_args!("is missing: give {n} weights"))),
        Some(Weight::Full(rows)) => full(name, rows, n, n)?,
        Some(Weight::Diagonal(diagonal)) => {
            let diagonal = vector(name, Some(diagonal), n)?;
            let mut all = vec![0.0; n * n];
            (0..n).for_each(|i| all[i * n + i] = diagonal[i]);
            all
        }
    };
    for i in 0..n {
        let own = all[i * n + i];
        if own < 0.0 || (definite && own == 0.0) {
            let least = if definite { "more than 0" } else { "0 or more" };
            return Err(wrong(name, format_args!("weight {i} is {own}; give {least}")));
        }
    }
    if all.iter().all(|v| *v == 0.0) {
        return Err(wrong(name, "all weights are 0: nothing is asked for"));
    }
    Ok(all)
}

type Given<'a> = (&'a str, &'a Option<Vec<Limit>>);

fn bounds(lower: Given<'_>, upper: Given<'_>, n: usize) -> Result<Bounds> {
    let mut all = Bounds::none(n);
    for ((name, given), to) in [(lower, &mut all.lower), (upper, &mut all.upper)] {
        let Some(given) = given else { continue };
        if given.len() != n {
            return Err(wrong(name, format_args!("{} bounds where {n} are due", given.len())));
        }
        for (i, limit) in given.iter().enumerate() {
            match limit {
                Limit::At(value) => to[i] = *value,
                Limit::Not(NoLimit::None) => {}
            }
        }
    }
    if let Some(i) = (0..n).find(|i| all.lower[*i] > all.upper[*i]) {
        let (least, most) = (all.lower[i], all.upper[i]);
        return Err(wrong(lower.0, format_args!("element {i} is {least}, above the {most} of {}", upper.0)));
    }
    Ok(all)
}
