//! The controller of one cart-pole: it plans the next two seconds anew in every round (iterative LQR with a
//! limited force), starting from the plan of the round before.

use crate::model::{CartPole, Linear, NOMINAL, State, unwound};
use phalanx::{
    Description, Field, Handle, Inputs, Outputs, RHController, Result, Setup, Verdict,
    fields::PredictionSpec, warm::shift_by_node,
};

/// Parameters of the controller, as in the cluster's `[params]`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Nodes of the horizon, `cluster_dt` apart.
    pub nodes: usize,
    /// Improvements of the plan per round, at most.
    pub iterations: u32,
    /// Greatest force on the cart, N.
    pub max_force: f64,
    /// Weights of the cart's distance from its target (1/m²), of 2(1 − cos angle), and of the rates.
    pub weights: [f64; 4],
    /// Weight of the force, 1/N².
    pub force_weight: f64,
    /// The last node counts so many times.
    pub final_factor: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 80,
            iterations: 3,
            max_force: 15.0,
            weights: [0.5, 4.0, 0.3, 0.3],
            force_weight: 0.01,
            final_factor: 30.0,
        }
    }
}

/// The controller of one row.
pub struct CartPoleMpc {
    fields: Fields,
    plan: Plan,
}

/// The fields that it reads and writes.
struct Fields {
    q: Handle<f32>,
    v: Handle<f32>,
    target: Handle<f32>,
    force: Handle<f32>,
    times: Handle<f32>,
    path: Handle<f32>,
}

impl RHController for CartPoleMpc {
    fn describe(setup: &Setup) -> Result<Description> {
        let params = setup.params::<Params>()?;
        Ok(Description {
            refs: vec![Field::new("target_x", "m", "where the cart is to be")],
            prediction: Some(PredictionSpec { nodes: params.nodes, ..Default::default() }),
            ..Description::default()
        })
    }

    fn build(setup: &Setup, _row: usize) -> Result<Self> {
        let fields = Fields {
            q: setup.state("joint_q")?,
            v: setup.state("joint_v")?,
            target: setup.refs("target_x")?,
            force: setup.cmd("joint_effort")?,
            times: setup.prediction("time")?,
            path: setup.prediction("joint_q")?,
        };
        Ok(Self { fields, plan: Plan::new(setup.params()?, NOMINAL, setup.config.cluster_dt) })
    }

    fn reset(&mut self) {
        self.plan.forget();
    }

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        let (q, v) = (inputs.get(self.fields.q), inputs.get(self.fields.v));
        let state = [q[0], q[1], v[0], v[1]].map(f64::from);
        let target = inputs.scalar(self.fields.target).into();
        self.plan.shift();
        let iterations = self.plan.improve(&state, target);
        if !self.plan.cost.is_finite() {
            self.plan.forget();
            return Verdict::Failed("the plan diverged".into());
        }
        outputs.get(self.fields.force)[0] = self.plan.forces[0] as f32;
        self.publish(outputs);
        outputs.solver(self.plan.cost, 0.0, iterations);
        Verdict::Solved
    }
}

impl CartPoleMpc {
    fn publish(&self, outputs: &mut Outputs<'_>) {
        let times = outputs.get(self.fields.times).iter_mut();
        times.enumerate().for_each(|(node, time)| *time = node as f32 * self.plan.dt as f32);
        let path = outputs.get(self.fields.path).chunks_exact_mut(2);
        for (q, state) in path.zip(self.plan.states.chunks_exact(4)) {
            q.copy_from_slice(&[state[0] as f32, state[1] as f32]);
        }
    }
}

/// A trajectory, and the feedback that holds it.
struct Plan {
    params: Params,
    model: CartPole,
    dt: f64,
    /// Four per node, one node more than forces.
    states: Vec<f64>,
    forces: Vec<f64>,
    /// Four per force: the reaction to a deviation of the state.
    gains: Vec<f64>,
    /// What the backward pass would change in each force.
    steps: Vec<f64>,
    /// The gain that keeps a standing pole up, and brings its cart to the target.
    balance: State,
    cost: f64,
    /// The next trajectory, while it is tried.
    trial_states: Vec<f64>,
    trial_forces: Vec<f64>,
}

impl Plan {
    fn new(params: Params, model: CartPole, dt: f64) -> Self {
        let n = params.nodes;
        let [states, forces, gains, steps] = [4 * (n + 1), n, 4 * n, n].map(|len| vec![0.0; len]);
        let (trial_states, trial_forces) = (states.clone(), forces.clone());
        let (cost, balance) = (0.0, [0.0; 4]);
        let mut plan = Self {
            params,
            model,
            dt,
            states,
            forces,
            gains,
            steps,
            balance,
            cost,
            trial_states,
            trial_forces,
        };
        // All zeros is a pole that stands at the target: the plan that all others end in.
        plan.backward(0.0);
        plan.balance = at(&plan.gains, 0);
        plan.forget();
        plan
    }

    fn forget(&mut self) {
        for numbers in [&mut self.states, &mut self.forces, &mut self.gains, &mut self.steps] {
            numbers.fill(0.0);
        }
    }

    /// A period has passed: the plan of the last round, moved up by a node, is where this one starts from.
    fn shift(&mut self) {
        for (numbers, width) in [(&mut self.states, 4), (&mut self.forces, 1), (&mut self.gains, 4)] {
            shift_by_node(numbers, width).expect("made of whole nodes");
        }
    }

    /// Plans from `state`; says how many iterations it took.
    fn improve(&mut self, state: &State, target: f64) -> u32 {
        // Two ways to begin: the old plan, whose feedback keeps up a pole that the slightest surprise would
        // throw off it, and plain feedback to the target. The old plan alone may have a bad end and never lose
        // it: a hanging pole feels no slope of the cost.
        self.cost = self.roll_out(state, target, |plan, node, x| plan.follow(node, x, 0.0));
        self.accept();
        let balance =
            |plan: &Self, _, x: &State| dot(&plan.balance, &[x[0] - target, unwound(x[1]), x[2], x[3]]);
        let cost = self.roll_out(state, target, balance);
        self.accept_if_better(cost);
        for iteration in 1..=self.params.iterations {
            let promise = self.backward(target);
            let improved = [1.0, 0.5, 0.25, 0.1, 0.03].into_iter().any(|share| {
                let cost = self.roll_out(state, target, |plan, node, x| plan.follow(node, x, share));
                self.accept_if_better(cost)
            });
            if !improved || promise < 1e-6 * self.cost {
                return iteration;
            }
        }
        self.params.iterations
    }

    /// The planned force, with a share of the step and the reaction to where the robot really is.
    fn follow(&self, node: usize, x: &State, share: f64) -> f64 {
        let planned = at(&self.states, node);
        let deviation = std::array::from_fn(|i| x[i] - planned[i]);
        self.forces[node] + share * self.steps[node] + dot(&at(&self.gains, node), &deviation)
    }

    /// Tries a policy, within the limits of the force; returns the cost.
    fn roll_out(&mut self, state: &State, target: f64, policy: impl Fn(&Self, usize, &State) -> f64) -> f64 {
        let mut x = *state;
        let mut cost = 0.0;
        for node in 0..self.forces.len() {
            let force = self.limited(policy(self, node, &x));
            self.trial_states[4 * node..4 * node + 4].copy_from_slice(&x);
            self.trial_forces[node] = force;
            cost += self.cost_of(&x, target) + self.params.force_weight * force * force;
            x = self.model.predict(&x, force, self.dt);
        }
        let last = self.trial_states.len() - 4;
        self.trial_states[last..].copy_from_slice(&x);
        cost + self.params.final_factor * self.cost_of(&x, target)
    }

    fn accept_if_better(&mut self, cost: f64) -> bool {
        let better = cost < self.cost;
        if better {
            self.cost = cost;
            self.accept();
        }
        better
    }

    fn accept(&mut self) {
        std::mem::swap(&mut self.states, &mut self.trial_states);
        std::mem::swap(&mut self.forces, &mut self.trial_forces);
    }

    /// Steps and gains that are best for the linearised motion around the plan, from its end to its beginning;
    /// returns what they promise to save.
    fn backward(&mut self, target: f64) -> f64 {
        let nodes = self.forces.len();
        let (lx, lxx) = self.slope_of(&at(&self.states, nodes), target);
        // The cost-to-go is quadratic: gradient and Hessian.
        let mut vx = lx.map(|l| l * self.params.final_factor);
        let mut vxx: [State; 4] = diagonal(&lxx.map(|l| l * self.params.final_factor));
        let mut promise = 0.0;
        for node in (0..nodes).rev() {
            let (x, force) = (at(&self.states, node), self.forces[node]);
            let Linear { a, b } = self.model.linearise(&x, force, self.dt);
            let (lx, lxx) = self.slope_of(&x, target);
            let va: [State; 4] = std::array::from_fn(|i| times(&vxx[i], &a));
            let vb = vxx.map(|row| dot(&row, &b));
            let qu = 2.0 * self.params.force_weight * force + dot(&b, &vx);
            let quu = 2.0 * self.params.force_weight + dot(&b, &vb);
            let qux = times(&vb, &a);

            // At its limit a force no longer reacts.
            let best = force - qu / quu;
            let step = self.limited(best) - force;
            let k = if self.limited(best) == best { qux.map(|q| -q / quu) } else { [0.0; 4] };
            self.steps[node] = step;
            self.gains[4 * node..4 * node + 4].copy_from_slice(&k);
            promise -= step * (qu + 0.5 * quu * step);

            let av = times(&vx, &a);
            vx = std::array::from_fn(|i| lx[i] + av[i] + k[i] * (qu + quu * step) + qux[i] * step);
            let l = diagonal(&lxx);
            vxx = std::array::from_fn(|i| {
                std::array::from_fn(|j| {
                    let ava: f64 = (0..4).map(|m| a[m][i] * va[m][j]).sum();
                    l[i][j] + ava + k[i] * quu * k[j] + k[i] * qux[j] + qux[i] * k[j]
                })
            });
        }
        promise
    }

    /// The cost of being in a state for one node.
    fn cost_of(&self, &[x, angle, v, rate]: &State, target: f64) -> f64 {
        let errors = [(x - target) * (x - target), 2.0 - 2.0 * angle.cos(), v * v, rate * rate];
        dot(&self.params.weights, &errors)
    }

    /// Its gradient, and the diagonal of its Hessian: that of the squared errors (Gauss-Newton), which is never
    /// negative. The true one is, for a pole that hangs.
    fn slope_of(&self, &[x, angle, v, rate]: &State, target: f64) -> (State, State) {
        let (slope, half) = ([x - target, angle.sin(), v, rate], (0.5 * angle).cos());
        let (w, bend) = (&self.params.weights, [1.0, half * half, 1.0, 1.0]);
        (std::array::from_fn(|i| 2.0 * w[i] * slope[i]), std::array::from_fn(|i| 2.0 * w[i] * bend[i]))
    }

    fn limited(&self, force: f64) -> f64 {
        force.clamp(-self.params.max_force, self.params.max_force)
    }
}

/// Four numbers of a node.
fn at(numbers: &[f64], node: usize) -> State {
    std::array::from_fn(|i| numbers[4 * node + i])
}

fn dot(a: &State, b: &State) -> f64 {
    (0..4).map(|i| a[i] * b[i]).sum()
}

/// A row times a matrix.
fn times(row: &State, a: &[State; 4]) -> State {
    std::array::from_fn(|j| (0..4).map(|i| row[i] * a[i][j]).sum())
}

fn diagonal(of: &State) -> [State; 4] {
    std::array::from_fn(|i| std::array::from_fn(|j| if i == j { of[i] } else { 0.0 }))
}
