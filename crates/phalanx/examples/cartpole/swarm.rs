//! The simulator: many cart-poles, no two of them alike, and where their carts are to be.

use crate::model::{CartPole, NOMINAL, State, unwound};
use phalanx::{ClusterClient, Handle, Outcome, Result};
use std::f64::consts::TAU;

/// A new target every so often, s; each row at its own time.
const TARGET_SECS: f64 = 5.0;
/// Farthest target, m.
pub const REACH: f64 = 1.2;

/// One simulated robot.
pub struct Robot {
    plant: CartPole,
    pub state: State,
    /// Force on the cart, N, held between rounds.
    pub force: f64,
    /// Where the cart is to be, m.
    pub target: f64,
    /// How its controller last answered, at what predicted cost and in what time.
    pub outcome: Outcome,
    pub cost: f64,
    pub solve_us: f32,
}

impl Robot {
    /// With masses and a length up to 20 % off what the controller believes, and the pole at any angle.
    fn new(row: usize) -> Self {
        let off = |of: f64, n: usize| of * (0.8 + 0.4 * chance(row, n));
        let plant = CartPole {
            cart: off(NOMINAL.cart, 0),
            pole: off(NOMINAL.pole, 1),
            length: off(NOMINAL.length, 2),
        };
        let state = [REACH * (2.0 * chance(row, 3) - 1.0), TAU * (chance(row, 4) - 0.5), 0.0, 0.0];
        Self { plant, state, force: 0.0, target: 0.0, outcome: Outcome::Idle, cost: 0.0, solve_us: 0.0 }
    }

    /// The pole's angle from upright, −π to π.
    pub fn angle(&self) -> f64 {
        unwound(self.state[1])
    }

    /// Does the pole stand, give or take 15°?
    pub fn is_upright(&self) -> bool {
        self.angle().abs() < TAU / 24.0
    }
}

/// All robots, and where their numbers lie in the cluster's tensors.
pub struct Swarm {
    pub robots: Vec<Robot>,
    q: Handle<f32>,
    v: Handle<f32>,
    target: Handle<f32>,
    effort: Handle<f32>,
}

impl Swarm {
    pub fn new(client: &ClusterClient) -> Result<Self> {
        Ok(Self {
            robots: (0..client.rows()).map(Robot::new).collect(),
            q: client.state.handle("joint_q")?,
            v: client.state.handle("joint_v")?,
            target: client.refs.handle("target_x")?,
            effort: client.cmd.handle("joint_effort")?,
        })
    }

    /// Moves the targets to where they are at `time`, s.
    pub fn set_targets(&mut self, time: f64) {
        for (row, robot) in self.robots.iter_mut().enumerate() {
            let turn = (time / TARGET_SECS + chance(row, 5)) as usize;
            robot.target = REACH * (2.0 * chance(row, 6 + turn) - 1.0);
        }
    }

    /// Into the cluster's state and refs.
    pub fn write(&self, client: &mut ClusterClient) {
        for (row, robot) in self.robots.iter().enumerate() {
            let [x, angle, v, rate] = robot.state.map(|number| number as f32);
            client.state.get_mut(self.q, row).copy_from_slice(&[x, angle]);
            client.state.get_mut(self.v, row).copy_from_slice(&[v, rate]);
            client.refs.get_mut(self.target, row)[0] = robot.target as f32;
        }
    }

    /// From the cluster's command and status.
    pub fn read(&mut self, client: &ClusterClient, outcomes: &[Outcome]) {
        for (row, (robot, &outcome)) in self.robots.iter_mut().zip(outcomes).enumerate() {
            robot.force = client.cmd.get(self.effort, row)[0].into();
            let status = client.status.of(row);
            (robot.outcome, robot.cost, robot.solve_us) = (outcome, status.cost, status.solve_us);
        }
    }

    /// Lets `dt` seconds pass.
    pub fn step(&mut self, dt: f64) {
        for robot in &mut self.robots {
            robot.state = robot.plant.simulate(&robot.state, robot.force, dt);
        }
    }

    pub fn upright(&self) -> usize {
        self.robots.iter().filter(|robot| robot.is_upright()).count()
    }
}

/// A number from 0 to 1 that looks like chance and is the same in every run (splitmix64).
fn chance(row: usize, n: usize) -> f64 {
    let mut z = (row as u64) << 32 | n as u64;
    z = z.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
}
