//! The controller of a row, whatever its model.

use crate::{
    params::{Params, several},
    plant::{Defaults, Plant},
};
use phalanx::{
    Bool, Description, Error, Field, Handle, Inputs, Outputs, Result, Setup, Verdict, Wire,
    fields::PredictionSpec, row_seed,
};
use phalanx_ocp::{
    lanes::Isa,
    mppi::{Cost, Inputs as Range, Mppi, Outcome, Quadratic, Tuning},
};

/// What the controller asks of a row.
pub trait Row: Send {
    fn reset(&mut self, seed: Option<u64>);
    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict;
}

/// A row of a model with `NX` states and `NU` inputs.
pub struct SampledRow<P, const NX: usize, const NU: usize> {
    plant: P,
    mppi: Mppi<Quadratic<NX, NU>, NX, NU>,
    /// Between nodes, s.
    dt: f64,
    /// Nodes per round.
    pace: f64,
    /// Where no reset names one.
    seed: u64,
    /// A plan was made since the last reset.
    planned: bool,
    /// What holds where refs are not valid.
    cost: Quadratic<NX, NU>,
    tuning: Tuning,
    refs: Refs,
    time: Wire,
    node_cost: Wire,
}

/// The refs, in the order they are declared in.
struct Refs {
    target: Handle<f32>,
    temperature: Handle<f32>,
    noise_scale: Handle<f32>,
    valid: Handle<Bool>,
}

/// Parameters and defaults of a model together, checked.
fn settled<P: Plant<NX, NU>, const NX: usize, const NU: usize>(
    setup: &Setup,
) -> Result<(Params, Defaults<NX, NU>)> {
    let (params, by_default) = (setup.checked_params::<Params>()?, P::defaults());
    params.sampling().check().map_err(refused)?;
    P::check(setup)?;
    let settled = Defaults {
        dt: params.dt.unwrap_or(by_default.dt),
        target: by_default.target,
        noise: several("noise", &params.noise, by_default.noise)?,
        rest: by_default.rest,
        lower: several("lower", &params.lower, by_default.lower)?,
        upper: several("upper", &params.upper, by_default.upper)?,
        state: several("state_weights", &params.state_weights, by_default.state)?,
        input: several("input_weights", &params.input_weights, by_default.input)?,
        terminal: several("terminal_weights", &params.terminal_weights, by_default.terminal)?,
    };
    Ok((params, settled))
}

fn refused(e: impl std::fmt::Display) -> Error {
    Error::Config(format!("params: {e}"))
}

impl<P: Plant<NX, NU>, const NX: usize, const NU: usize> SampledRow<P, NX, NU> {
    /// What the cluster has to know before it starts; everything wrong with the parameters is found here.
    pub fn describe(setup: &Setup) -> Result<Description> {
        let (params, settled) = settled::<P, NX, NU>(setup)?;
        range(&settled).check().map_err(refused)?;
        let nodes = params.nodes + 1;
        let target = Field::new("target", "m, rad, m/s, rad/s", "the state to reach")
            .shape(&[NX])
            .labels(&P::STATES)
            .default_values(&settled.target);
        let temperature = Field::new(
            "temperature",
            "",
            "how much more than the best a sample may cost and still count; above 0",
        )
        .default_values(&[params.temperature]);
        let noise_scale =
            Field::new("noise_scale", "", "a factor of the noise; above 0").default_values(&[1.0]);
        Ok(Description {
            refs: vec![target, temperature, noise_scale],
            prediction: Some(PredictionSpec { nodes, cost_terms: Vec::new() }),
            ..Description::default()
        })
    }

    /// Builds a row.
    pub fn build(setup: &Setup, row: usize) -> Result<Self> {
        let (params, settled) = settled::<P, NX, NU>(setup)?;
        let seed = row_seed(params.seed, row);
        let tuning = Tuning { temperature: params.temperature, noise: 1.0 };
        let mut mppi = Mppi::new(Isa::widest(), P::model(settled.dt), params.sampling(), range(&settled))
            .map_err(refused)?;
        mppi.reset(seed);
        let cost = Quadratic {
            target: settled.target,
            state: settled.state,
            input: settled.input,
            terminal: settled.terminal,
        };
        Ok(Self {
            plant: P::wire(setup)?,
            mppi,
            dt: settled.dt,
            pace: setup.config.cluster_dt / settled.dt,
            seed,
            planned: false,
            cost: cost.over(settled.dt),
            tuning,
            refs: Refs {
                target: setup.refs("target")?,
                temperature: setup.refs("temperature")?,
                noise_scale: setup.refs("noise_scale")?,
                valid: setup.refs("valid")?,
            },
            time: Wire::prediction(setup, "time")?,
            node_cost: Wire::prediction(setup, "node_cost")?,
        })
    }

    /// The refs that are valid, the defaults for the others.
    fn wanted(&self, inputs: &Inputs<'_>) -> (Quadratic<NX, NU>, Tuning) {
        let (mut cost, mut tuning) = (self.cost, self.tuning);
        let [target, temperature, noise] = std::array::from_fn(|i| inputs.get(self.refs.valid)[i].get());
        if target {
            let given = inputs.get(self.refs.target);
            cost.target = std::array::from_fn(|i| given[i].into());
        }
        if temperature {
            tuning.temperature = inputs.scalar(self.refs.temperature).into();
        }
        if noise {
            tuning.noise = inputs.scalar(self.refs.noise_scale).into();
        }
        (cost, tuning)
    }

    fn publish(&self, cost: &Quadratic<NX, NU>, outputs: &mut Outputs<'_>) {
        let (states, inputs) = (self.mppi.states(), self.mppi.inputs());
        self.plant.command(outputs, &inputs[0], &states[1]);
        let last = inputs.len();
        for (node, x) in states.iter().enumerate() {
            let u = &inputs[node.min(last - 1)];
            let price = if node < last { cost.stage(node, x, u) } else { cost.terminal(x) };
            self.plant.predict(outputs, node, x, u);
            self.time.write(outputs, node, &[node as f64 * self.dt]);
            self.node_cost.write(outputs, node, &[price.min(f32::MAX.into())]);
        }
    }
}

/// What is tried of the inputs.
fn range<const NX: usize, const NU: usize>(settled: &Defaults<NX, NU>) -> Range<NU> {
    Range {
        noise: settled.noise,
        rest: std::array::from_fn(|i| settled.rest[i].max(settled.lower[i]).min(settled.upper[i])),
        lower: settled.lower,
        upper: settled.upper,
    }
}

impl<P: Plant<NX, NU>, const NX: usize, const NU: usize> Row for SampledRow<P, NX, NU> {
    fn reset(&mut self, seed: Option<u64>) {
        self.mppi.reset(seed.unwrap_or(self.seed));
        self.planned = false;
    }

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        let x = self.plant.state(inputs);
        let (cost, tuning) = self.wanted(inputs);
        if self.planned {
            self.mppi.shift(self.pace);
        }
        let outcome = match self.mppi.solve(&x, &cost, tuning) {
            Ok(outcome) => outcome,
            Err(refusal) => return Verdict::Failed(format!("refs: {refusal}").into()),
        };
        self.planned = true;
        self.publish(&cost, outputs);
        match outcome {
            Outcome::Planned { cost, rounds, .. } => {
                outputs.solver(cost, 0.0, rounds as u32);
                Verdict::Solved
            }
            Outcome::Kept => Verdict::Degraded(
                "no sample has a finite cost from this state, so the inputs planned before are kept".into(),
            ),
        }
    }
}
