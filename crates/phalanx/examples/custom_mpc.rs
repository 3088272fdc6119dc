//! A complete controller: MPC of joints taken for unit double integrators. Run it to see how to start it.
use phalanx::{Description, Field, Handle, Inputs, Outputs, RHController, Result, Setup, Verdict};

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    nodes: Option<usize>,       // of the horizon, `cluster_dt` apart; 100
    effort_weight: Option<f64>, // relative to that of the position; 1e-4
}

struct CustomMpc([Handle<f32>; 4], [f64; 2], [f64; 3]); // fields, feedback gain, cost-to-go

impl RHController for CustomMpc {
    fn describe(setup: &Setup) -> Result<Description> {
        let target = Field::new("target_q", "rad or m", "where to").shape(&[setup.robot().joints.len()]);
        Ok(Description { refs: vec![target], ..Description::default() })
    }

    fn build(setup: &Setup, _row: usize) -> Result<Self> {
        let (params, dt) = (setup.params::<Params>()?, setup.config.cluster_dt);
        let (mut a, mut b, mut c, mut k) = (1.0, 0.0, 0.0, [0.0; 2]);
        for _ in 0..params.nodes.unwrap_or(100) {
            let (g, h) = ((0.5 * a * dt + b) * dt, ((0.5 * a * dt + 1.5 * b) * dt + c) * dt);
            let s = params.effort_weight.unwrap_or(1e-4) + (h - 0.5 * g * dt) * dt;
            k = [g / s, h / s]; // Riccati, backwards in time, with the cost-to-go [a b; b c]
            (a, b, c) = (1.0 + a - g * k[0], b + a * dt - g * k[1], c + (a * dt + 2.0 * b) * dt - h * k[1]);
        }
        let (q, v) = (setup.state("joint_q")?, setup.state("joint_v")?);
        Ok(Self([q, v, setup.refs("target_q")?, setup.cmd("joint_effort")?], k, [a, b, c]))
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        let (&mut Self([q, v, target, effort], k, [a, b, c]), mut cost) = (self, 0.0);
        for j in 0..q.len() {
            let (e, v) = (f64::from(inputs.get(q)[j] - inputs.get(target)[j]), f64::from(inputs.get(v)[j]));
            outputs.get(effort)[j] = -(k[0] * e + k[1] * v) as f32;
            cost += a * e * e + 2.0 * b * e * v + c * v * v;
        }
        outputs.solver(cost, 0.0, 1);
        Verdict::Solved
    }
}

fn main() -> std::process::ExitCode {
    phalanx::worker_main::<CustomMpc>()
}
