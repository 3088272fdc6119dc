//! Linear-quadratic problems: one plant with many states and references, or a plant each.

use std::time::Instant;

use phalanx_ocp::{
    lanes::Isa,
    lq::{Bounds, Method, Outcome, Problem, Rows, Settings, Solver, Stage, Terminal},
};

use super::{Entry, Instances, Kernel, Lap};
use crate::Error;

/// Rows of the table.
pub const KERNELS: &[Entry] = &[
    Entry {
        kernel: "interior point",
        takes: &["lq"],
        says: "Riccati interior point, one problem at a time, cold",
        exact: true,
        make: |instances| make(instances, Method::InteriorPoint, Isa::scalar()),
    },
    Entry {
        kernel: "interior point, lanes",
        takes: &["quadrotor_lmpc_10", "quadrotor_lmpc_20", "quadrotor_lmpc_40", "lqr_rows"],
        says: "the same, as many problems at once as the processor has lanes; a problem's share",
        exact: true,
        make: |instances| make(instances, Method::InteriorPoint, Isa::widest()),
    },
    Entry {
        kernel: "active set",
        takes: &["lq"],
        says: "dual active set on the condensed problem, one at a time, warm where the plant stays; condensing a new one counts",
        exact: true,
        make: |instances| make(instances, Method::ActiveSet, Isa::scalar()),
    },
];

/// What one instance is asked, beside the plant.
struct Ask {
    initial: Vec<f64>,
    target: Vec<f64>,
}

struct Race {
    /// One for all instances, or one for each.
    problems: Vec<Problem>,
    asks: Vec<Ask>,
    settings: Settings,
    isa: Isa,
    /// Kept where there is one plant.
    solver: Option<Solver>,
    /// Whether what is prepared for a new plant counts, as condensing must.
    whole: bool,
}

fn make(instances: &Instances, method: Method, isa: Isa) -> Result<Box<dyn Kernel>, Error> {
    let settings = Settings { method, tolerance: 1e-6, ..Settings::default() };
    let plants = if instances.same(&["A", "B", "b", "Q", "R"]) { 1 } else { instances.count() };
    let problems = (0..plants).map(|i| problem(instances, i)).collect::<Result<Vec<_>, _>>()?;
    let asks = (0..instances.count()).map(|i| ask(instances, i)).collect::<Result<Vec<_>, _>>()?;
    let solver = match plants {
        1 => Some(Solver::new(&problems[0], isa.lanes(), isa, settings)?),
        _ => None,
    };
    Ok(Box::new(Race { problems, asks, settings, isa, solver, whole: method == Method::ActiveSet }))
}

impl Kernel for Race {
    fn laps(&mut self, lap: &mut dyn FnMut(Lap)) {
        let rows: Vec<usize> = (0..self.isa.lanes()).collect();
        let no_input = vec![0.0; self.problems[0].nu()];
        for first in (0..self.asks.len()).step_by(rows.len()) {
            let asks = &self.asks[first..self.asks.len().min(first + rows.len())];
            let set_up = Instant::now();
            let mut own = None;
            let solver = match &mut self.solver {
                Some(solver) => solver,
                None => own.insert(
                    Solver::new(&self.problems[first], rows.len(), self.isa, self.settings)
                        .expect("checked before"),
                ),
            };
            let start = Instant::now();
            for (row, ask) in asks.iter().enumerate() {
                solver.set_initial(row, &ask.initial);
                solver.set_reference(row, &ask.target, &no_input);
            }
            solver.solve(&rows[..asks.len()]);
            let mut took = Lap::since(start, asks.len(), 0, false);
            took.all_us = set_up.elapsed().as_secs_f64() * 1e6 / asks.len() as f64;
            if self.whole {
                took.us = took.all_us;
            }
            for row in 0..asks.len() {
                let answer = solver.answer(row);
                let ok = answer.outcome == Outcome::Solved;
                let u = Some(answer.inputs.clone());
                lap(Lap { iterations: answer.iterations, ok, u, ..took.clone() });
            }
        }
    }
}

/// The plant of an instance, all stages alike: what stage 0 costs changes nothing.
fn problem(from: &Instances, i: usize) -> Result<Problem, Error> {
    let (n, last) = (from.horizon(), from.horizon());
    for k in 1..n {
        for name in ["A", "B", "b", "R", "umin", "umax", "C", "D", "dmin", "dmax"] {
            if from.stage(name, i, k) != from.stage(name, i, 0) {
                return Err(format!("{}: {name} differs from stage to stage", from.name()).into());
            }
        }
    }
    let at = |name: &str, k: usize| from.stage(name, i, k);
    let bounds = |low: &str, high: &str, k: usize| Bounds::hard(at(low, k), at(high, k));
    let mut stage = Stage::new(at("A", 0), at("B", 0), at("Q", 1), at("R", 0));
    stage.c = at("b", 0).to_vec();
    stage.x_bounds = bounds("xmin", "xmax", 1);
    stage.u_bounds = bounds("umin", "umax", 0);
    if from.rows() > 0 {
        stage.rows =
            Rows { x: at("C", 0).to_vec(), u: at("D", 0).to_vec(), bounds: bounds("dmin", "dmax", 0) };
    }
    let mut terminal = Terminal::new(at("Q", last));
    terminal.x_bounds = bounds("xmin", "xmax", last);
    Ok(Problem::lti(stage, terminal, n)?)
}

/// State and target: what the linear terms say, where anything is weighed.
fn ask(from: &Instances, i: usize) -> Result<Ask, Error> {
    let (weights, pull) = (from.stage("Q", i, from.horizon()), from.stage("q", i, from.horizon()));
    let n = from.states();
    let target: Vec<f64> =
        (0..n).map(|s| if weights[s * n + s] > 0.0 { -pull[s] / weights[s * n + s] } else { 0.0 }).collect();
    if (1..from.horizon()).any(|k| from.stage("q", i, k) != pull) {
        return Err(format!("{}: the target moves", from.name()).into());
    }
    Ok(Ask { initial: from.array("x0", i).to_vec(), target })
}
