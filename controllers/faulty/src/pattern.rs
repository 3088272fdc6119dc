//! A controller for stress: everything that goes in and comes out of a row in one round is one value, so that
//! whoever sees two of them in one place has seen a torn row.

use phalanx::{
    Description, Dtype, Field, Group, Handle, Inputs, Outputs, RHController, Result, Setup, Verdict,
    fields::PredictionSpec,
};
use std::time::{Duration, Instant};

/// The value of a row in a round. Exact in single precision; differs from those of many rounds around it.
pub fn value(round: u64, row: usize) -> f32 {
    ((round * 31 + row as u64 * 1009) % 65_521) as f32 + 1.0
}

/// What the commands of a row hold.
pub fn answer(value: f32) -> f32 {
    -value
}

/// What is followed in place of the refs.
pub fn followed(value: f32) -> f32 {
    value + 0.5
}

/// Parameters of the controller.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// A solve works up to so long, µs.
    pub busy_us: u64,
    /// One in so many solves sleeps, by its value; 0 none.
    pub one_in: u64,
    /// For so long, s.
    pub sleep: f64,
}

/// The controller.
#[derive(Debug)]
pub struct Pattern {
    params: Params,
    state: Vec<Handle<f32>>,
    narrow: Handle<f32>,
    wide: Handle<f64>,
    cmd: Vec<Handle<f32>>,
}

impl RHController for Pattern {
    fn describe(setup: &Setup) -> Result<Description> {
        setup.params::<Params>()?;
        let refs = vec![
            Field::new("narrow", "", "the value").shape(&[13]),
            Field::new("wide", "", "the value").dtype(Dtype::F64).shape(&[5]),
        ];
        let prediction = Some(PredictionSpec { nodes: 5, cost_terms: vec!["all".into()] });
        Ok(Description { refs, prediction, writes_refs: true, ..Description::default() })
    }

    fn build(setup: &Setup, _row: usize) -> Result<Self> {
        let all = |group| -> Result<Vec<Handle<f32>>> {
            let record = setup.schema.record(group)?;
            record.fields.iter().map(|f| record.handle(&f.name)).collect()
        };
        Ok(Self {
            params: setup.params()?,
            state: all(Group::State)?,
            narrow: setup.refs("narrow")?,
            wide: setup.refs("wide")?,
            cmd: [all(Group::Cmd)?, all(Group::Prediction)?].concat(),
        })
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        let value = value(inputs.round, inputs.row);
        let same = |held: &[f32]| held.iter().all(|&v| v == value);
        let whole = self.state.iter().all(|&field| same(inputs.get(field)))
            && same(inputs.get(self.narrow))
            && inputs.get(self.wide).iter().all(|&v| v == f64::from(value));
        if !whole {
            return Verdict::Failed(format!("torn: {value} is not {inputs:?}").into());
        }
        inputs.follow(self.narrow).fill(followed(value));
        inputs.follow(self.wide).fill(followed(value).into());
        self.work(value as u64);
        for &field in &self.cmd {
            outputs.get(field).fill(answer(value));
        }
        outputs.solver(value.into(), answer(value).into(), value as u32);
        Verdict::Solved
    }
}

impl Pattern {
    fn work(&self, value: u64) {
        let Params { busy_us, one_in, sleep } = self.params;
        let until = Instant::now() + Duration::from_micros((value * 7919).checked_rem(busy_us).unwrap_or(0));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        if value.checked_rem(one_in) == Some(0) {
            std::thread::sleep(Duration::from_secs_f64(sleep));
        }
    }
}
