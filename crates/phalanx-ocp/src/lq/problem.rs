//! A linear-quadratic problem over a horizon, as plain numbers, and what can be wrong with it.
//!
//! ```text
//! minimise    Σₖ ½ [x u]ₖ' [Q S'; S R] [x u]ₖ + q'xₖ + r'uₖ   +   the same of x at the end   +   penalties
//! subject to  xₖ₊₁ = A xₖ + B uₖ + c,   lower ≤ uₖ, xₖ, C xₖ + D uₖ ≤ upper,   x₀ given
//! ```
//!
//! Matrices are row-major. Bounds may be infinite; a soft bound may be overstepped by σ at the price `l1·σ + ½·l2·σ²`.

use std::sync::Arc;

/// The longest horizon, in stages.
pub const MAX_HORIZON: usize = 10_000;
/// The most states, inputs, and general rows per stage.
pub const MAX_SIZE: usize = 256;

/// What overstepping a bound costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Soft {
    /// Per unit.
    pub l1: f64,
    /// Per half unit squared; greater than 0.
    pub l2: f64,
}

/// Lower and upper bounds of some quantities, each infinite or not, each hard or soft.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// `f64::NEG_INFINITY` where there is none.
    pub lower: Vec<f64>,
    /// `f64::INFINITY` where there is none.
    pub upper: Vec<f64>,
    /// Where the bounds are soft.
    pub soft: Vec<Option<Soft>>,
}

impl Bounds {
    /// No bounds on `len` quantities.
    pub fn none(len: usize) -> Self {
        Self { lower: vec![f64::NEG_INFINITY; len], upper: vec![f64::INFINITY; len], soft: vec![None; len] }
    }

    /// Hard bounds.
    pub fn hard(lower: &[f64], upper: &[f64]) -> Self {
        Self { lower: lower.to_vec(), upper: upper.to_vec(), soft: vec![None; lower.len()] }
    }

    /// All of them soft, at the same price.
    pub fn softened(mut self, soft: Soft) -> Self {
        self.soft.fill(Some(soft));
        self
    }

    fn check(&self, what: &'static str, stage: usize, len: usize) -> Result<(), ProblemError> {
        for got in [self.lower.len(), self.upper.len(), self.soft.len()] {
            if got != len {
                return Err(ProblemError::Size { what, stage, got, want: len });
            }
        }
        for (index, (&lower, &upper)) in self.lower.iter().zip(&self.upper).enumerate() {
            if lower.is_nan() || upper.is_nan() || lower == f64::INFINITY || upper == f64::NEG_INFINITY {
                return Err(ProblemError::NotFinite { what, stage, index });
            }
            if lower > upper {
                return Err(ProblemError::Crossed { what, stage, index, lower, upper });
            }
            if let Some(Soft { l1, l2 }) = self.soft[index]
                && !(l1 >= 0.0 && l1.is_finite() && l2 > 0.0 && l2.is_finite())
            {
                return Err(ProblemError::Penalty { what, stage, index, l1, l2 });
            }
        }
        Ok(())
    }
}

/// Bounds on `C x + D u`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// C, a row of `nx` per bound.
    pub x: Vec<f64>,
    /// D, a row of `nu` per bound; empty at the end of the horizon.
    pub u: Vec<f64>,
    /// What the sums are held between.
    pub bounds: Bounds,
}

impl Rows {
    /// None.
    pub fn none() -> Self {
        Self { x: Vec::new(), u: Vec::new(), bounds: Bounds::none(0) }
    }

    fn check(&self, stage: usize, nx: usize, nu: usize) -> Result<(), ProblemError> {
        let rows = self.bounds.lower.len();
        if rows > MAX_SIZE {
            return Err(ProblemError::Large { what: "general rows of a stage", got: rows, most: MAX_SIZE });
        }
        numbers("C", stage, &self.x, rows * nx)?;
        numbers("D", stage, &self.u, rows * nu)?;
        self.bounds.check("bounds of C x + D u", stage, rows)
    }
}

/// A stage of the horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// A, `nx × nx`.
    pub a: Vec<f64>,
    /// B, `nx × nu`.
    pub b: Vec<f64>,
    /// c, `nx`.
    pub c: Vec<f64>,
    /// Q, `nx × nx`, symmetric.
    pub q: Vec<f64>,
    /// S, `nu × nx`.
    pub s: Vec<f64>,
    /// R, `nu × nu`, symmetric.
    pub r: Vec<f64>,
    /// q, `nx`.
    pub x_linear: Vec<f64>,
    /// r, `nu`.
    pub u_linear: Vec<f64>,
    /// Of the state; not looked at in the first stage, whose state is given.
    pub x_bounds: Bounds,
    /// Of the input.
    pub u_bounds: Bounds,
    /// General rows.
    pub rows: Rows,
}

impl Stage {
    /// A stage with these dynamics and weights, nothing linear and no bounds.
    pub fn new(a: &[f64], b: &[f64], q: &[f64], r: &[f64]) -> Self {
        let (nx, nu) = (a.len().isqrt(), r.len().isqrt());
        Self {
            a: a.to_vec(),
            b: b.to_vec(),
            c: vec![0.0; nx],
            q: q.to_vec(),
            s: vec![0.0; nu * nx],
            r: r.to_vec(),
            x_linear: vec![0.0; nx],
            u_linear: vec![0.0; nu],
            x_bounds: Bounds::none(nx),
            u_bounds: Bounds::none(nu),
            rows: Rows::none(),
        }
    }

    fn check(&self, stage: usize, nx: usize, nu: usize) -> Result<(), ProblemError> {
        numbers("A", stage, &self.a, nx * nx)?;
        numbers("B", stage, &self.b, nx * nu)?;
        numbers("c", stage, &self.c, nx)?;
        weights("Q", stage, &self.q, nx)?;
        numbers("S", stage, &self.s, nu * nx)?;
        weights("R", stage, &self.r, nu)?;
        numbers("q", stage, &self.x_linear, nx)?;
        numbers("r", stage, &self.u_linear, nu)?;
        self.x_bounds.check("bounds of x", stage, nx)?;
        self.u_bounds.check("bounds of u", stage, nu)?;
        self.rows.check(stage, nx, nu)
    }
}

/// The end of the horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Terminal {
    /// Q, `nx × nx`, symmetric.
    pub q: Vec<f64>,
    /// q, `nx`.
    pub x_linear: Vec<f64>,
    /// Of the state.
    pub x_bounds: Bounds,
    /// General rows, of the state alone.
    pub rows: Rows,
}

impl Terminal {
    /// An end with this weight, nothing linear and no bounds.
    pub fn new(q: &[f64]) -> Self {
        let nx = q.len().isqrt();
        let (x_linear, x_bounds) = (vec![0.0; nx], Bounds::none(nx));
        Self { q: q.to_vec(), x_linear, x_bounds, rows: Rows::none() }
    }
}

/// A checked problem: finite, of matching sizes, bounds not crossed. Whether it is convex a solver finds out.
#[derive(Clone, Debug)]
pub struct Problem {
    nx: usize,
    nu: usize,
    stages: Vec<Arc<Stage>>,
    terminal: Terminal,
}

impl Problem {
    /// Every stage alike: `horizon` of them.
    pub fn lti(stage: Stage, terminal: Terminal, horizon: usize) -> Result<Self, ProblemError> {
        check_horizon(horizon)?;
        let stage = Arc::new(stage);
        Self::ltv((0..horizon).map(|_| Arc::clone(&stage)).collect(), terminal)
    }

    /// A stage per step. Stages of one `Arc` are kept once.
    pub fn ltv(stages: Vec<Arc<Stage>>, terminal: Terminal) -> Result<Self, ProblemError> {
        check_horizon(stages.len())?;
        let (nx, nu) = (stages[0].c.len(), stages[0].u_linear.len());
        for (what, got) in [("states", nx), ("inputs", nu)] {
            if got == 0 {
                return Err(ProblemError::Nothing { what });
            }
            if got > MAX_SIZE {
                return Err(ProblemError::Large { what, got, most: MAX_SIZE });
            }
        }
        let mut checked: Option<&Arc<Stage>> = None;
        for (k, stage) in stages.iter().enumerate() {
            if checked.is_none_or(|last| !Arc::ptr_eq(last, stage)) {
                stage.check(k, nx, nu)?;
            }
            checked = Some(stage);
        }
        let end = stages.len();
        weights("Q", end, &terminal.q, nx)?;
        numbers("q", end, &terminal.x_linear, nx)?;
        terminal.x_bounds.check("bounds of x", end, nx)?;
        terminal.rows.check(end, nx, 0)?;
        Ok(Self { nx, nu, stages, terminal })
    }

    /// States.
    pub fn nx(&self) -> usize {
        self.nx
    }

    /// Inputs.
    pub fn nu(&self) -> usize {
        self.nu
    }

    /// Stages.
    pub fn horizon(&self) -> usize {
        self.stages.len()
    }

    /// The stages, those alike in one `Arc`.
    pub fn stages(&self) -> &[Arc<Stage>] {
        &self.stages
    }

    /// The end.
    pub fn terminal(&self) -> &Terminal {
        &self.terminal
    }
}

fn check_horizon(horizon: usize) -> Result<(), ProblemError> {
    match horizon {
        1..=MAX_HORIZON => Ok(()),
        _ => Err(ProblemError::Horizon { got: horizon }),
    }
}

fn numbers(what: &'static str, stage: usize, values: &[f64], want: usize) -> Result<(), ProblemError> {
    if values.len() != want {
        return Err(ProblemError::Size { what, stage, got: values.len(), want });
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(ProblemError::NotFinite { what, stage, index }),
        None => Ok(()),
    }
}

/// Symmetric, its diagonal not negative.
fn weights(what: &'static str, stage: usize, values: &[f64], n: usize) -> Result<(), ProblemError> {
    numbers(what, stage, values, n * n)?;
    for i in 0..n {
        if values[i * n + i] < 0.0 {
            return Err(ProblemError::Negative { what, stage, index: i, value: values[i * n + i] });
        }
        for j in 0..i {
            let (below, above) = (values[i * n + j], values[j * n + i]);
            if (below - above).abs() > 1e-9 * (below.abs() + above.abs()) {
                return Err(ProblemError::NotSymmetric { what, stage, row: i, column: j });
            }
        }
    }
    Ok(())
}

/// What is wrong with a problem. Stages count from 0; the end of the horizon has the number after the last stage.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProblemError {
    /// No stages, or absurdly many.
    #[error("a horizon of {got} stages: give 1 to {MAX_HORIZON}")]
    Horizon {
        /// As given.
        got: usize,
    },
    /// No states or no inputs.
    #[error("no {what}: give at least one")]
    Nothing {
        /// Of what.
        what: &'static str,
    },
    /// More of something than is supported.
    #[error("{got} {what}: at most {most} are supported")]
    Large {
        /// Of what.
        what: &'static str,
        /// As given.
        got: usize,
        /// As supported.
        most: usize,
    },
    /// Sizes do not match.
    #[error("{what} of stage {stage} has {got} numbers where the other sizes ask for {want}")]
    Size {
        /// Of what.
        what: &'static str,
        /// Where.
        stage: usize,
        /// As given.
        got: usize,
        /// As expected.
        want: usize,
    },
    /// NaN, or infinite where that means nothing.
    #[error("{what} of stage {stage}: element {index} is not a usable number")]
    NotFinite {
        /// In what.
        what: &'static str,
        /// Where.
        stage: usize,
        /// Which element, row-major.
        index: usize,
    },
    /// A lower bound above its upper one.
    #[error(
        "{what} of stage {stage}: element {index} is to lie between {lower} and {upper}, which is nowhere"
    )]
    Crossed {
        /// Of what.
        what: &'static str,
        /// Where.
        stage: usize,
        /// Which element.
        index: usize,
        /// As given.
        lower: f64,
        /// As given.
        upper: f64,
    },
    /// A price that does not hold a bound.
    #[error(
        "{what} of stage {stage}: element {index} is soft at l1 = {l1}, l2 = {l2}; give l1 ≥ 0 and l2 > 0"
    )]
    Penalty {
        /// Of what.
        what: &'static str,
        /// Where.
        stage: usize,
        /// Which element.
        index: usize,
        /// As given.
        l1: f64,
        /// As given.
        l2: f64,
    },
    /// A negative weight.
    #[error("{what} of stage {stage}: element {index} of the diagonal is {value}; weights are not negative")]
    Negative {
        /// Which matrix.
        what: &'static str,
        /// Where.
        stage: usize,
        /// Which element of the diagonal.
        index: usize,
        /// As given.
        value: f64,
    },
    /// A weight that is not symmetric.
    #[error("{what} of stage {stage} is not symmetric at row {row}, column {column}")]
    NotSymmetric {
        /// Which matrix.
        what: &'static str,
        /// Where.
        stage: usize,
        /// Where in it.
        row: usize,
        /// Where in it.
        column: usize,
    },
    /// No unique least cost.
    #[error(
        "input {input} of stage {stage} costs nothing, or less than nothing: give R a positive weight for it"
    )]
    NotConvex {
        /// Where.
        stage: usize,
        /// Which input.
        input: usize,
    },
}
