//! Between a row's fields, in the cluster's precision, and the controller's numbers.

use crate::{Cost, Plan, Tracking};
use phalanx::{Element, Handle, Inputs, Outputs, Result, Setup};

/// The fields it reads and writes.
#[derive(Debug)]
pub struct Wires<T> {
    /// Cart and pole among the robot's joints, and how many joints it has.
    joints: [usize; 2],
    width: usize,
    q: Handle<T>,
    v: Handle<T>,
    target: Handle<f32>,
    force: Handle<T>,
    time: Handle<T>,
    path_q: Handle<T>,
    path_v: Handle<T>,
    path_force: Handle<T>,
    node_cost: Handle<T>,
    cost_terms: Handle<T>,
}

/// What is published of a plan.
pub struct Shown<'a> {
    pub plan: Plan<'a, 4, 4, 1>,
    pub cost: &'a Tracking<4, 1>,
    pub target: f64,
    pub dt: f64,
}

impl<T: Element> Wires<T> {
    pub fn of(setup: &Setup, joints: [usize; 2]) -> Result<Self> {
        Ok(Self {
            joints,
            width: setup.robot().joints.len(),
            q: setup.state("joint_q")?,
            v: setup.state("joint_v")?,
            target: setup.refs("target_x")?,
            force: setup.cmd("joint_effort")?,
            time: setup.prediction("time")?,
            path_q: setup.prediction("joint_q")?,
            path_v: setup.prediction("joint_v")?,
            path_force: setup.prediction("joint_effort")?,
            node_cost: setup.prediction("node_cost")?,
            cost_terms: setup.prediction("cost_terms")?,
        })
    }

    /// Position, angle, their rates, and the target.
    pub fn read(&self, inputs: &Inputs<'_>) -> [f64; 5] {
        let [cart, pole] = self.joints;
        let (q, v) = (inputs.get(self.q), inputs.get(self.v));
        let target = inputs.scalar(self.target).into();
        [q[cart].to_f64(), q[pole].to_f64(), v[cart].to_f64(), v[pole].to_f64(), target]
    }

    pub fn write(&self, shown: &Shown<'_>, outputs: &mut Outputs<'_>) {
        let ([cart, pole], plan, nodes) = (self.joints, &shown.plan, outputs.get(self.time).len());
        outputs.get(self.force)[cart] = T::from_f64(plan.input(0)[0]);
        for k in 0..nodes {
            let (x, first) = (plan.state(k), k * self.width);
            let end = k + 1 == nodes;
            let force = if end { 0.0 } else { plan.input(k)[0] };
            outputs.get(self.time)[k] = T::from_f64(k as f64 * shown.dt);
            for (field, values) in [(self.path_q, [x[0], x[1]]), (self.path_v, [x[2], x[3]])] {
                let path = outputs.get(field);
                (path[first + cart], path[first + pole]) = (T::from_f64(values[0]), T::from_f64(values[1]));
            }
            outputs.get(self.path_force)[first + cart] = T::from_f64(force);
            let reference = [shown.target, 0.0, 0.0, 0.0, 0.0];
            let (weights, node) = if end {
                (shown.cost.terminal, shown.cost.terminal(&x, &reference))
            } else {
                (shown.cost.state, shown.cost.stage(&x, &[force], &reference))
            };
            outputs.get(self.node_cost)[k] = T::from_f64(node);
            let terms = outputs.get(self.cost_terms);
            for i in 0..4 {
                let off = x[i] - reference[i];
                terms[i * nodes + k] = T::from_f64(0.5 * weights[i] * off * off);
            }
            terms[4 * nodes + k] = T::from_f64(0.5 * shown.cost.input[0] * force * force);
        }
    }
}
