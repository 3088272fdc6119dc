//! Commands what it sees: joint positions and velocities of the state, the ref `bias` added to every effort.
//!
//! It does as little as a controller can, so what a round of it costs is what Phalanx costs.
#![forbid(unsafe_code)]

use phalanx::{
    Description, Element, Field, Handle, Inputs, Outputs, RHController, Real, Result, Setup, Verdict,
    params::{Parameter, Parameters, Range},
};
use std::{
    ops::AddAssign,
    time::{Duration, Instant},
};

phalanx::params! {
    /// Parameters of the controller.
    pub struct Params {
        /// Time to work in every solve.
        busy_us: f64 = 0.0, "us", Range(0.0, 1e9);
    }
}

/// The controller.
#[derive(Debug)]
pub struct Echo {
    busy: Duration,
    wires: Wires,
}

/// From the state to the command, in the cluster's precision.
#[derive(Debug)]
enum Wires {
    F32(Joints<f32>),
    F64(Joints<f64>),
}

#[derive(Debug)]
struct Joints<T> {
    state: [Handle<T>; 3],
    cmd: [Handle<T>; 3],
    bias: Handle<f32>,
}

impl RHController for Echo {
    fn params() -> Vec<Parameter> {
        Params::table()
    }

    fn describe(setup: &Setup) -> Result<Description> {
        setup.checked_params::<Params>()?;
        let bias = Field::new("bias", "N m or N", "added to the effort of every joint");
        Ok(Description { refs: vec![bias], ..Description::default() })
    }

    fn build(setup: &Setup, _row: usize) -> Result<Self> {
        let busy = Duration::from_secs_f64(setup.checked_params::<Params>()?.busy_us * 1e-6);
        let wires = match setup.config.real {
            Real::F32 => Wires::F32(Joints::of(setup)?),
            Real::F64 => Wires::F64(Joints::of(setup)?),
        };
        Ok(Self { busy, wires })
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        match &self.wires {
            Wires::F32(joints) => joints.echo(inputs, outputs),
            Wires::F64(joints) => joints.echo(inputs, outputs),
        }
        if !self.busy.is_zero() {
            let until = Instant::now() + self.busy;
            while Instant::now() < until {
                std::hint::spin_loop();
            }
        }
        Verdict::Solved
    }
}

impl<T: Element + AddAssign + From<f32>> Joints<T> {
    fn of(setup: &Setup) -> Result<Self> {
        Ok(Self {
            state: [setup.state("joint_q")?, setup.state("joint_v")?, setup.state("joint_effort")?],
            cmd: [setup.cmd("joint_q")?, setup.cmd("joint_v")?, setup.cmd("joint_effort")?],
            bias: setup.refs("bias")?,
        })
    }

    #[inline]
    fn echo(&self, inputs: &Inputs<'_>, outputs: &mut Outputs<'_>) {
        for (from, to) in self.state.into_iter().zip(self.cmd) {
            outputs.set(to, inputs.get(from));
        }
        let bias = T::from(inputs.scalar(self.bias));
        outputs.get(self.cmd[2]).iter_mut().for_each(|effort| *effort += bias);
    }
}
