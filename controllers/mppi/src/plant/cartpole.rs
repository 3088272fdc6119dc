//! A cart-pole: two joints, of which the first is pushed.

use super::{Defaults, Plant};
use phalanx::{Error, Group, Inputs, Outputs, Result, Setup, Wire};
use phalanx_ocp::model::CartPole;

/// Where the joints' positions, velocities and efforts are.
pub struct CartPolePlant {
    state: [Wire; 2],
    cmd: [Wire; 3],
    prediction: [Wire; 3],
}

impl Plant<4, 1> for CartPolePlant {
    const NAME: &'static str = "cartpole";
    const STATES: [&'static str; 4] = ["cart", "pole", "cart_rate", "pole_rate"];
    type Model = CartPole;

    fn defaults() -> Defaults<4, 1> {
        let weights = [1e3, 1e3, 1e-2, 1e-2];
        Defaults {
            dt: CartPole::default().dt,
            target: [0.0; 4],
            noise: [45.0],
            rest: [0.0],
            lower: [-80.0],
            upper: [80.0],
            state: weights,
            input: [1e-2],
            terminal: weights,
        }
    }

    fn model(dt: f64) -> CartPole {
        CartPole { dt, ..CartPole::default() }
    }

    fn check(setup: &Setup) -> Result<()> {
        match setup.robot().joints.len() {
            2 => Ok(()),
            joints => Err(Error::Config(format!(
                "params: model is \"cartpole\": the robot has {joints} joints; it takes 2, the cart's and then the pole's \
                 (its angle from upright)"
            ))),
        }
    }

    fn wire(setup: &Setup) -> Result<Self> {
        let three = |group| -> Result<[Wire; 3]> {
            let wire = |name| Wire::to(setup, group, name);
            Ok([wire("joint_q")?, wire("joint_v")?, wire("joint_effort")?])
        };
        let [q, v, _] = three(Group::State)?;
        Ok(Self { state: [q, v], cmd: three(Group::Cmd)?, prediction: three(Group::Prediction)? })
    }

    fn state(&self, inputs: &Inputs<'_>) -> [f64; 4] {
        let [q, v] = self.state;
        [q.get(inputs, 0), q.get(inputs, 1), v.get(inputs, 0), v.get(inputs, 1)]
    }

    fn command(&self, outputs: &mut Outputs<'_>, u: &[f64; 1], next: &[f64; 4]) {
        let [q, v, effort] = self.cmd;
        q.write(outputs, 0, &next[..2]);
        v.write(outputs, 0, &next[2..]);
        effort.write(outputs, 0, u);
    }

    fn predict(&self, outputs: &mut Outputs<'_>, node: usize, x: &[f64; 4], u: &[f64; 1]) {
        let [q, v, effort] = self.prediction;
        q.write(outputs, 2 * node, &x[..2]);
        v.write(outputs, 2 * node, &x[2..]);
        effort.write(outputs, 2 * node, u);
    }
}
