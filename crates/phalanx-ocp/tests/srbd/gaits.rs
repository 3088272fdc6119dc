//! Robots in the middle of gaits, pushed about: tasks for tests and benches.

use phalanx_ocp::srbd::{LEGS, Settings, Task};

/// What a robot may be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gait {
    Stand,
    Trot,
    Pace,
    Bound,
    Walk,
    /// A trot whose feet are all in the air for some time.
    FlyingTrot,
    /// In the air all the time.
    Fall,
}

pub const GAITS: [Gait; 7] =
    [Gait::Stand, Gait::Trot, Gait::Pace, Gait::Bound, Gait::Walk, Gait::FlyingTrot, Gait::Fall];

impl Gait {
    /// When each foot (front left, front right, rear left, rear right) touches down, and how long it stays, in steps of 10.
    fn table(self) -> ([usize; LEGS], usize) {
        match self {
            Self::Stand => ([0; 4], 10),
            Self::Trot => ([0, 5, 5, 0], 5),
            Self::Pace => ([0, 5, 0, 5], 5),
            Self::Bound => ([0, 0, 5, 5], 5),
            Self::Walk => ([0, 5, 3, 8], 8),
            Self::FlyingTrot => ([0, 5, 5, 0], 3),
            Self::Fall => ([0; 4], 0),
        }
    }
}

/// Numbers that look random: the same every time.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between −range and range.
    pub fn about(&mut self, range: f64) -> f64 {
        ((self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0) * range
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }
}

/// A robot of 9 kg in some phase of a gait, pushed, and told to go somewhere.
pub fn task(settings: &Settings, gait: Gait, friction: f64, dice: &mut Dice) -> Task {
    let (horizon, dt) = (settings.horizon, settings.dt);
    let yaw = dice.about(3.0);
    let about = [0.15, 0.15, 0.1, 0.1, 0.1, 0.04, 1.0, 1.0, 1.0, 0.6, 0.6, 0.3];
    let mut state = about.map(|range| dice.about(range));
    state[2] += yaw;
    state[5] += 0.29;
    let speed = [dice.about(1.5), dice.about(0.5), dice.about(1.5)];
    let (sin, cos) = yaw.sin_cos();
    let velocity = [cos * speed[0] - sin * speed[1], sin * speed[0] + cos * speed[1]];
    let (offsets, stance) = gait.table();
    let phase = dice.below(10);
    let feet = [[0.19, 0.11], [0.19, -0.11], [-0.19, 0.11], [-0.19, -0.11]]
        .map(|[x, y]| [x + dice.about(0.05), y + dice.about(0.03)]);

    let mut task = Task {
        state,
        mass: 9.0,
        inertia: [[0.07, 0.001, -0.002], [0.001, 0.26, 0.003], [-0.002, 0.003, 0.242]],
        friction,
        force_min: 0.0,
        force_max: 120.0,
        reference: vec![[0.0; 12]; horizon],
        yaw: vec![0.0; horizon],
        levers: vec![[[0.0; 3]; LEGS]; horizon],
        contact: vec![[false; LEGS]; horizon],
    };
    for k in 0..horizon {
        let time = dt * (k + 1) as f64;
        let heading = yaw + time * speed[2];
        task.yaw[k] = heading - 0.5 * dt * speed[2];
        task.reference[k] = [
            0.0,
            0.0,
            heading,
            velocity[0] * time,
            velocity[1] * time,
            0.3,
            0.0,
            0.0,
            speed[2],
            velocity[0],
            velocity[1],
            0.0,
        ];
        for leg in 0..LEGS {
            task.contact[k][leg] = (k + phase + 10 - offsets[leg]) % 10 < stance;
            let [x, y] = feet[leg];
            let drift = 0.5 * dt * k as f64;
            task.levers[k][leg] =
                [cos * x - sin * y - drift * velocity[0], sin * x + cos * y - drift * velocity[1], -state[5]];
        }
    }
    task
}
