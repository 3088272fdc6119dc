//! The parameters: a model, its weights and bounds as matrices, and how its states and inputs are called.

use phalanx::{Error, Result};
use phalanx_ocp::lq::{Bounds, Method, Problem, Rows, Settings, Soft, Stage, Terminal};
use serde::Deserialize;
use std::sync::Arc;

/// A weight: its diagonal, or all of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Weight {
    /// The diagonal.
    Diagonal(Vec<f64>),
    /// Rows.
    Full(Vec<Vec<f64>>),
}

/// A matrix for all stages, or one each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Matrix {
    /// Rows, for all stages.
    Same(Vec<Vec<f64>>),
    /// Rows, stage by stage.
    Each(Vec<Vec<Vec<f64>>>),
}

/// A vector for all stages, or one each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Vector {
    /// For all stages.
    Same(Vec<f64>),
    /// Stage by stage.
    Each(Vec<Vec<f64>>),
}

/// A bound.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum Limit {
    /// A number, not infinite: a cluster keeps its parameters in a form that knows no infinity.
    At(f64),
    /// `"none"`.
    Not(NoLimit),
}

/// No bound.
#[derive(Clone, Copy, Debug, Deserialize)]
pub enum NoLimit {
    /// `"none"`.
    #[serde(rename = "none")]
    None,
}

/// What overstepping bounds by σ costs: `l1·σ + ½·l2·σ²`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Per unit. Default 0.
    #[serde(default)]
    pub l1: f64,
    /// Per half unit squared; greater than 0.
    pub l2: f64,
}

/// Bounds on a sum of states and inputs, at every stage.
#[derive(Clone, Debug, Default, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
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

/// Parameters of the controller. States and inputs are in SI units, as the fields they stand for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// What the model's states are called in the cluster's state: `joint_q.knee`, `root_pos[2]`. One per row of A.
    pub states: Vec<String>,
    /// What its inputs are called in the command: `joint_effort.knee`. One per column of B.
    pub inputs: Vec<String>,
    /// x₊ = **A** x + B u + c over one step of the horizon.
    #[serde(rename = "A")]
    pub a: Matrix,
    /// x₊ = A x + **B** u + c.
    #[serde(rename = "B")]
    pub b: Matrix,
    /// x₊ = A x + B u + **c**. Default 0.
    pub c: Option<Vector>,
    /// Weight of the states' distance from `x_ref`, each stage.
    #[serde(rename = "Q")]
    pub q: Option<Weight>,
    /// Weight of the inputs' distance from `u_ref`, each stage.
    #[serde(rename = "R")]
    pub r: Option<Weight>,
    /// Weight of the states' distance at the end. Default Q.
    #[serde(rename = "Qf")]
    pub qf: Option<Weight>,
    /// Stages, 1 to 10000. Default 20.
    pub horizon: usize,
    /// Duration of a stage, s; compared with the cluster's. Default: the cluster's.
    pub dt: Option<f64>,
    /// Least inputs, `"none"` where there is no bound. Default none.
    pub u_min: Option<Vec<Limit>>,
    /// Greatest inputs, `"none"` where there is no bound. Default none.
    pub u_max: Option<Vec<Limit>>,
    /// Least states, `"none"` where there is no bound. Default none.
    pub x_min: Option<Vec<Limit>>,
    /// Greatest states, `"none"` where there is no bound. Default none.
    pub x_max: Option<Vec<Limit>>,
    /// What overstepping `x_min` and `x_max` costs. Default: they are hard.
    pub x_soft: Option<Price>,
    /// Bounds on sums. Default none.
    pub rows: Vec<Row>,
    /// Default of the ref of the same name. Default 0.
    pub x_ref: Option<Vec<f64>>,
    /// Default of the ref of the same name. Default 0.
    pub u_ref: Option<Vec<f64>>,
    /// Estimate what constantly disturbs the model, and aim where it can rest nevertheless. Default false.
    pub offset_free: bool,
    /// How much of what the model got wrong a step goes into that estimate, 0 to 1. Default 0.2.
    pub disturbance_gain: f64,
    /// `auto`, `interior_point` or `active_set`. Default auto.
    pub method: Chosen,
    /// Iterations at the most. Default 60.
    pub max_iterations: u32,
    /// How far bounds may be overstepped, of their width. Default 1e-7.
    pub tolerance: f64,
    /// Rows solved at once: 0 for as many as the CPU can, 1, 4 or 8. Default 0. Answers do not depend on it.
    pub lanes: usize,
}

impl Default for Params {
    fn default() -> Self {
        let Settings { max_iterations, tolerance, .. } = Settings::default();
        Self {
            states: Vec::new(),
            inputs: Vec::new(),
            a: Matrix::Same(Vec::new()),
            b: Matrix::Same(Vec::new()),
            c: None,
            q: None,
            r: None,
            qf: None,
            horizon: 20,
            dt: None,
            u_min: None,
            u_max: None,
            x_min: None,
            x_max: None,
            x_soft: None,
            rows: Vec::new(),
            x_ref: None,
            u_ref: None,
            offset_free: false,
            disturbance_gain: 0.2,
            method: Chosen::Auto,
            max_iterations,
            tolerance,
            lanes: 0,
        }
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
    /// Names what is wrong with them, or says what they come to.
    pub fn check(&self) -> Result<Plan> {
        let (nx, nu) = (self.states.len(), self.inputs.len());
        for (name, list) in [("states", &self.states), ("inputs", &self.inputs)] {
            if list.is_empty() {
                return Err(wrong(name, "name at least one field, as in [\"joint_q.knee\"]"));
            }
            if let Some(twice) = list.iter().enumerate().find(|(i, n)| list[..*i].contains(n)) {
                return Err(wrong(name, format_args!("{} is named twice", twice.1)));
            }
        }
        if !(1..=phalanx_ocp::lq::problem::MAX_HORIZON).contains(&self.horizon) {
            return Err(wrong("horizon", format_args!("{} stages; give 1 to 10000", self.horizon)));
        }
        if let Some(dt) = self.dt
            && !(dt > 0.0 && dt.is_finite())
        {
            return Err(wrong("dt", format_args!("{dt} s is no duration")));
        }
        if !(self.disturbance_gain > 0.0 && self.disturbance_gain <= 1.0) {
            return Err(wrong(
                "disturbance_gain",
                format_args!("{}; give more than 0, 1 at the most", self.disturbance_gain),
            ));
        }
        if !matches!(self.lanes, 0 | 1 | 4 | 8) {
            return Err(wrong(
                "lanes",
                format_args!("{}; give 0 (as many as the CPU can), 1, 4 or 8", self.lanes),
            ));
        }
        let settings = self.settings();
        settings.check().map_err(|e| Error::Config(format!("params: {e}")))?;
        let varying = matches!(self.a, Matrix::Each(_))
            || matches!(self.b, Matrix::Each(_))
            || matches!(self.c, Some(Vector::Each(_)));
        if self.offset_free && varying {
            return Err(wrong("offset_free", "needs one A, one B and one c for all stages"));
        }
        let q = weight("Q", self.q.as_ref(), nx, false)?;
        let r = weight("R", self.r.as_ref(), nu, true)?;
        let qf = if self.qf.is_some() { weight("Qf", self.qf.as_ref(), nx, false)? } else { q.clone() };
        let u_bounds = bounds(("u_min", &self.u_min), ("u_max", &self.u_max), nu)?;
        let mut x_bounds = bounds(("x_min", &self.x_min), ("x_max", &self.x_max), nx)?;
        if let Some(price) = self.x_soft {
            x_bounds = x_bounds.softened(soft("x_soft", price)?);
        }
        let rows = self.general(nx, nu)?;
        let stage = |k: usize| -> Result<Stage> {
            let a = matrix("A", &self.a, k, self.horizon, nx, nx)?;
            let b = matrix("B", &self.b, k, self.horizon, nx, nu)?;
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
    match l1 >= 0.0 && l1.is_finite() && l2 > 0.0 && l2.is_finite() {
        true => Ok(Soft { l1, l2 }),
        false => Err(wrong(name, format_args!("l1 = {l1}, l2 = {l2}; give l1 ≥ 0 and l2 > 0"))),
    }
}

fn vector(name: &str, given: Option<&Vec<f64>>, len: usize) -> Result<Vec<f64>> {
    let Some(given) = given else { return Ok(vec![0.0; len]) };
    if given.len() != len {
        return Err(wrong(name, format_args!("{} numbers where {len} are due", given.len())));
    }
    match given.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(wrong(name, format_args!("element {i} is {}", given[i]))),
        None => Ok(given.clone()),
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

fn weight(name: &str, given: Option<&Weight>, n: usize, positive: bool) -> Result<Vec<f64>> {
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
        if own < 0.0 || (positive && own == 0.0) {
            let least = if positive { "more than 0" } else { "0 or more" };
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
                Limit::At(value) if value.is_finite() => to[i] = *value,
                Limit::At(value) => {
                    let what = format_args!("element {i} is {value}; give a number, or \"none\"").to_string();
                    return Err(wrong(name, what));
                }
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
