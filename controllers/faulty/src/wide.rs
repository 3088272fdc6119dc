//! An echo in double precision.

use phalanx::{Handle, Inputs, Outputs, RHController, Result, Setup, Verdict};

/// The controller.
#[derive(Debug)]
pub struct Wide {
    q: [Handle<f64>; 2],
}

impl RHController for Wide {
    fn build(setup: &Setup, _row: usize) -> Result<Self> {
        Ok(Self { q: [setup.state("joint_q")?, setup.cmd("joint_q")?] })
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        outputs.set(self.q[1], inputs.get(self.q[0]));
        Verdict::Solved
    }
}
