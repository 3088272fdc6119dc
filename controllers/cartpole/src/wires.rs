//! Between a row's fields and the controller's numbers.

use crate::{Cost, Plan, Tracking};
use phalanx::{Inputs, Meant, Outputs, Result, Setup, Wire};

/// The fields it reads and writes.
#[derive(Debug)]
pub struct Wires {
    /// Cart and pole among the robot's joints, and how many joints it has.
    joints: [usize; 2],
    width: usize,
    q: Wire,
    v: Wire,
    target: Wire,
    target_meant: Meant,
    force: Wire,
    time: Wire,
    path_q: Wire,
    path_v: Wire,
    path_force: Wire,
    node_cost: Wire,
    cost_terms: Wire,
}

/// What is published of a plan.
pub struct Shown<'a> {
    pub plan: Plan<'a, 4, 4, 1>,
    pub cost: &'a Tracking<4, 1>,
    pub target: f64,
    pub dt: f64,
}

impl Wires {
    pub fn of(setup: &Setup, joints: [usize; 2]) -> Result<Self> {
        Ok(Self {
            joints,
            width: setup.robot().joints.len(),
            q: Wire::state(setup, "joint_q")?,
            v: Wire::state(setup, "joint_v")?,
            target: Wire::refs(setup, "target_x")?,
            target_meant: setup.meant("target_x")?,
            force: Wire::cmd(setup, "joint_effort")?,
            time: Wire::prediction(setup, "time")?,
            path_q: Wire::prediction(setup, "joint_q")?,
            path_v: Wire::prediction(setup, "joint_v")?,
            path_force: Wire::prediction(setup, "joint_effort")?,
            node_cost: Wire::prediction(setup, "node_cost")?,
            cost_terms: Wire::prediction(setup, "cost_terms")?,
        })
    }

    /// Position, angle, their rates, and the target: the middle, where none is meant.
    pub fn read(&self, inputs: &Inputs<'_>) -> [f64; 5] {
        let [cart, pole] = self.joints;
        let of = |wire: Wire, element| wire.get(inputs, element);
        let target = if inputs.means(self.target_meant) { of(self.target, 0) } else { 0.0 };
        [of(self.q, cart), of(self.q, pole), of(self.v, cart), of(self.v, pole), target]
    }

    pub fn write(&self, shown: &Shown<'_>, outputs: &mut Outputs<'_>) {
        let Shown { plan, cost, target, dt } = shown;
        let ([cart, pole], last) = (self.joints, self.time.len() - 1);
        let force = |k: usize| if k == last { 0.0 } else { plan.input(k)[0] };
        let reference = [*target, 0.0, 0.0, 0.0, 0.0];
        self.force.write(outputs, cart, &plan.input(0));
        self.time.write_each(outputs, 0, 1, (0..=last).map(|k| k as f64 * dt));
        for (path, joint, i) in
            [(self.path_q, cart, 0), (self.path_q, pole, 1), (self.path_v, cart, 2), (self.path_v, pole, 3)]
        {
            path.write_each(outputs, joint, self.width, (0..=last).map(|k| plan.state(k)[i]));
        }
        self.path_force.write_each(outputs, cart, self.width, (0..=last).map(force));
        let node = |k: usize| match k == last {
            true => cost.terminal(&plan.state(k), &reference),
            false => cost.stage(&plan.state(k), &[force(k)], &reference),
        };
        self.node_cost.write_each(outputs, 0, 1, (0..=last).map(node));
        for (i, wanted) in reference[..4].iter().enumerate() {
            let term = |k: usize| {
                let weight = if k == last { cost.terminal[i] } else { cost.state[i] };
                let off = plan.state(k)[i] - wanted;
                0.5 * weight * off * off
            };
            self.cost_terms.write_each(outputs, i * (last + 1), 1, (0..=last).map(term));
        }
        let term = |k: usize| 0.5 * cost.input[0] * force(k) * force(k);
        self.cost_terms.write_each(outputs, 4 * (last + 1), 1, (0..=last).map(term));
    }
}
