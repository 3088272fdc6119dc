//! A simulator made of libtorch tensors: cart-poles by the hundred, each held up by a predictive controller
//! of its own, which runs on the CPU in another process. What the simulator touches are the mirror's tensors.
//!
//! ```text
//! LIBTORCH_USE_PYTORCH=1 cargo run --release -p phalanx-mirror --features tch --example tch_simulator --
//! [cpu|cuda:I]
//! ```

use phalanx::{
    ClusterConfig, ClusterServer, Controller, Description, Entry, Field, Handle, Inputs, Outputs,
    RHController, Rows, Setup, Verdict, become_worker,
    robot::{JointKind, RobotSpec},
};
use phalanx_mirror::{Mirror, Stream, Structure, Tch, tensor};
use std::{process::ExitCode, time::Instant};
use tch::{Device, Kind, Tensor};

const ROWS: usize = 256;
const SECONDS: f64 = 8.0;
/// Mass of the cart and of the pole's end, kg.
const CART: f64 = 1.0;
const POLE: f64 = 0.2;
/// Length of the pole, m.
const LENGTH: f64 = 0.6;
/// Gravity, m/s².
const G: f64 = 9.81;

/// Model-predictive control of the cart-pole near upright: the best force over a horizon of four seconds, for
/// the linear model. Without limits that is one feedback, found when the controller is built.
struct Balance {
    q: Handle<f32>,
    v: Handle<f32>,
    target: Handle<f32>,
    force: Handle<f32>,
    gain: [f64; 4],
}

impl RHController for Balance {
    fn describe(_: &Setup) -> phalanx::Result<Description> {
        let target = Field::new("target_x", "m", "where the cart is to be");
        Ok(Description { refs: vec![target], ..Description::default() })
    }

    fn build(setup: &Setup, _row: usize) -> phalanx::Result<Self> {
        Ok(Self {
            q: setup.state("joint_q")?,
            v: setup.state("joint_v")?,
            target: setup.refs("target_x")?,
            force: setup.cmd("joint_effort")?,
            gain: gain(setup.config.cluster_dt, 200),
        })
    }

    fn reset(&mut self) {}

    fn solve(&mut self, inputs: &mut Inputs<'_>, outputs: &mut Outputs<'_>) -> Verdict {
        let (q, v) = (inputs.get(self.q), inputs.get(self.v));
        let state = [q[0] - inputs.scalar(self.target), q[1], v[0], v[1]].map(f64::from);
        let force: f64 = self.gain.iter().zip(state).map(|(k, x)| -k * x).sum();
        outputs.get(self.force)[0] = force.clamp(-20.0, 20.0) as f32;
        Verdict::Solved
    }
}

/// The first feedback of so many, by Riccati's recursion backwards over the horizon. The state is the cart's
/// position, the pole's angle, and their rates.
fn gain(dt: f64, nodes: usize) -> [f64; 4] {
    let fall = POLE * G / CART;
    let a = [
        [1.0, 0.0, dt, 0.0],
        [0.0, 1.0, 0.0, dt],
        [0.0, -dt * fall, 1.0, 0.0],
        [0.0, dt * (G + fall) / LENGTH, 0.0, 1.0],
    ];
    let b = [0.0, 0.0, dt / CART, -dt / (CART * LENGTH)];
    let (weights, force_weight) = ([4.0, 10.0, 1.0, 0.5], 0.05);
    let diagonal = |i: usize, j: usize| if i == j { weights[i] } else { 0.0 };
    let mut p: [[f64; 4]; 4] = std::array::from_fn(|i| std::array::from_fn(|j| diagonal(i, j)));
    let mut k = [0.0; 4];
    for _ in 0..nodes {
        let dot = |f: &dyn Fn(usize) -> f64| (0..4).map(f).sum::<f64>();
        let pa: [[f64; 4]; 4] = std::array::from_fn(|i| std::array::from_fn(|j| dot(&|m| p[i][m] * a[m][j])));
        let pb: [f64; 4] = std::array::from_fn(|i| dot(&|m| p[i][m] * b[m]));
        let s = force_weight + dot(&|m| b[m] * pb[m]);
        k = std::array::from_fn(|j| dot(&|m| b[m] * pa[m][j]) / s);
        p = std::array::from_fn(|i| {
            std::array::from_fn(|j| diagonal(i, j) + dot(&|m| a[m][i] * (pa[m][j] - pb[m] * k[j])))
        });
    }
    k
}

/// One step of all carts and poles: rates first, then positions with the new rates.
fn step(q: &mut Tensor, v: &mut Tensor, force: &Tensor, dt: f64) {
    let (angle, rate) = (q.select(1, 1), v.select(1, 1));
    let (sin, cos) = (angle.sin(), angle.cos());
    let pull = &sin * POLE * (rate.square() * LENGTH - &cos * G);
    let cart = (force + pull) / (sin.square() * POLE + CART);
    let pole = (&sin * G - &cart * &cos) / LENGTH;
    *v += Tensor::stack(&[cart, pole], 1) * dt;
    *q += &*v * dt;
}

fn main() -> ExitCode {
    become_worker(&[Entry::new::<Balance>("balance")]);
    match run(std::env::args().nth(1).as_deref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tch_simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Do all poles stand, and the carts where they are to be?
fn run(device: Option<&str>) -> phalanx_mirror::Result<bool> {
    let device = match device.and_then(|name| name.strip_prefix("cuda:")?.parse().ok()) {
        Some(ordinal) => Device::Cuda(ordinal),
        None => Device::Cpu,
    };
    let mut robot = RobotSpec::new("cartpole", ["cart", "pole"]).map_err(phalanx::Error::from)?;
    (robot.joints[0].kind, robot.joints[1].kind) = (JointKind::Prismatic, JointKind::Continuous);
    let mut config = ClusterConfig::new(&format!("tch-simulator-{}", std::process::id()), ROWS, robot);
    (config.control_dt, config.cluster_dt) = (0.005, 0.02);
    let server = ClusterServer::start(config, Controller::here(Entry::new::<Balance>("balance"))?)?;
    let mut client = server.client()?;
    let mut mirror = Mirror::new(&Tch::new(device)?, &client)?;
    let of = |mirror: &Mirror, structure, name: &str| tensor(&mirror.field(structure, name)?);
    let (mut seen_q, mut seen_v) =
        (of(&mirror, Structure::State, "joint_q")?, of(&mirror, Structure::State, "joint_v")?);
    let mut target = of(&mirror, Structure::Refs, "target_x")?;
    let effort = of(&mirror, Structure::Cmd, "joint_effort")?;

    // Poles that lean up to 0.25 rad, carts that shall go up to half a metre.
    tch::manual_seed(1);
    let around = |columns: i64, most: f64| {
        (Tensor::rand([ROWS as i64, columns], (Kind::Float, device)) * 2.0 - 1.0) * most
    };
    let mut q = around(2, 0.25);
    let mut v = Tensor::zeros([ROWS as i64, 2], (Kind::Float, device));
    target.copy_(&around(1, 0.5).squeeze_dim(1));

    let rates = client.rates();
    let (mut rounds, mut solving_us, began) = (0u32, 0.0, Instant::now());
    for i in 0..(SECONDS / rates.control_dt()) as u64 {
        if rates.is_cluster_instant(i) {
            seen_q.copy_(&q);
            seen_v.copy_(&v);
            let report = mirror.solve(&mut client, Rows::All, Stream::DEFAULT)?;
            assert!(report.all_solved(), "{report:?}");
            (rounds, solving_us) = (rounds + 1, solving_us + report.total_us());
        }
        step(&mut q, &mut v, &effort.select(1, 0), rates.control_dt());
    }
    let worst = |error: Tensor| f64::try_from(error.abs().max()).unwrap_or(f64::NAN);
    let (lean, miss) = (worst(q.select(1, 1)), worst(q.select(1, 0) - &target));
    println!(
        "{ROWS} cart-poles on {}, {rounds} rounds of {SECONDS} s in {:.2} s, {:.0} us per round",
        mirror.device(),
        began.elapsed().as_secs_f64(),
        solving_us / f64::from(rounds)
    );
    println!("greatest lean {lean:.1e} rad, farthest from its target {miss:.1e} m; {:?}", mirror.times());
    Ok(lean < 0.01 && miss < 0.02)
}
