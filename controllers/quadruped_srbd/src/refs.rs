//! What a row is told to do: the declared refs, and the command made of them.

use crate::{
    gait::{FEET, Kind, Schedule},
    params::Body,
};
use phalanx::{Bool, Dtype, Field, Handle, Inputs, Result, Setup};

/// What of the robot the refs' defaults and limits depend on.
#[derive(Clone, Debug)]
pub struct Stature {
    /// Height of the base when the robot stands in its homing, m.
    pub height: f64,
    /// Height of the base that its legs can reach, m.
    pub height_max: f64,
    /// What the feet are called: front left, front right, rear left, rear right.
    pub feet: [String; FEET],
}

/// A number that a row is told. Out of its range it is clamped, and the client sees what was followed.
struct Number {
    name: &'static str,
    unit: &'static str,
    doc: &'static str,
    default: f64,
    range: [f64; 2],
}

const COUNT: usize = 11;
const YAW_RATE: usize = 0;
const BASE_HEIGHT: usize = 1;
const ROLL: usize = 2;
const PITCH: usize = 3;
const GAIT_PERIOD: usize = 4;
const DUTY: usize = 5;
const SWING_HEIGHT: usize = 6;
const PHASE: usize = 7;
const FRICTION: usize = 8;
const PAYLOAD: usize = 9;
const GROUND: usize = 10;

/// Fastest velocity that is followed, m/s.
const FASTEST: f64 = 10.0;

fn numbers(&Stature { height, height_max, .. }: &Stature) -> [Number; COUNT] {
    let number = |name, unit, doc, default, range| Number { name, unit, doc, default, range };
    [
        number("yaw_rate", "rad/s", "turning", 0.0, [-FASTEST, FASTEST]),
        number("base_height", "m", "height of the base over the ground", height, [0.3 * height, height_max]),
        number("roll", "rad", "roll of the base", 0.0, [-0.5, 0.5]),
        number("pitch", "rad", "pitch of the base", 0.0, [-0.5, 0.5]),
        number("gait_period", "s", "time of the gait's cycle; 0 for the gait's own", 0.0, [0.1, 10.0]),
        number("duty", "", "share of the cycle that a foot stands; 0 for the gait's own", 0.0, [0.1, 1.0]),
        number("swing_height", "m", "how high a foot is lifted", 0.22 * height, [0.0, 0.8 * height]),
        number("phase", "", "where in its cycle a reset row begins; then, where it is", 0.0, [0.0, 1.0]),
        number("friction", "", "coefficient of friction that forces may count on", 0.5, [0.05, 5.0]),
        number("payload", "kg", "mass carried at the robot's centre of mass", 0.0, [0.0, 1e3]),
        number(
            "ground",
            "m",
            "height of the ground; followed where ground_known, else learnt from the feet",
            0.0,
            [-1e5, 1e5],
        ),
    ]
}

/// The refs a row has.
pub fn fields(stature: &Stature) -> Vec<Field> {
    let mut fields = vec![
        Field::new("gait", "", "0 stand, 1 trot, 2 walk, 3 pace, 4 bound, 5 custom")
            .dtype(Dtype::I32)
            .default_values(&[1.0]),
        Field::new("lin_vel", "m/s", "forward and to the left")
            .shape(&[2])
            .frame("base, horizontal")
            .labels(&["forward", "left"]),
        Field::new("offsets", "", "custom gait: phase of each foot when the cycle's is 0, its touchdown")
            .shape(&[FEET])
            .labels(&stature.feet)
            .default_values(&Schedule::new(Kind::Custom, None, None).offsets),
        Field::new("contact_flags", "", "custom gait: a standing foot whose flag is 0 takes a step at once")
            .dtype(Dtype::Bool)
            .shape(&[FEET])
            .labels(&stature.feet)
            .default_values(&[1.0]),
        Field::new("ground_known", "", "the ground is as high as ground says").dtype(Dtype::Bool),
    ];
    let field =
        |number: &Number| Field::new(number.name, number.unit, number.doc).default_values(&[number.default]);
    fields.extend(numbers(stature).iter().map(field));
    fields
}

/// What a row is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Of the base, forward and left in its horizontal frame, m/s.
    pub velocity: [f64; 2],
    /// Turning, rad/s.
    pub yaw_rate: f64,
    /// Of the base over the ground, m.
    pub height: f64,
    /// Of the base, rad.
    pub roll: f64,
    /// Of the base, rad.
    pub pitch: f64,
    /// Who steps when.
    pub schedule: Schedule,
    /// How high feet are lifted, m.
    pub swing_height: f64,
    /// Where in the cycle a row begins; then, where it is.
    pub phase: f64,
    /// Coefficient of friction.
    pub friction: f64,
    /// Beside the robot's own mass, kg.
    pub payload: f64,
    /// Height of the ground, m; `None` where it is to be learnt from the feet.
    pub ground: Option<f64>,
}

impl Command {
    /// This command, its velocities no further from those followed before than `passed` seconds allow. A
    /// robot that is to stand walks on until it has slowed down.
    pub fn approached(self, before: &Command, limits: &Body, passed: f64) -> Self {
        let change: [f64; 2] = std::array::from_fn(|i| self.velocity[i] - before.velocity[i]);
        let (far, most) = (change[0].hypot(change[1]), limits.acceleration * passed);
        let share = if far > most { most / far } else { 1.0 };
        let velocity = std::array::from_fn(|i| before.velocity[i] + share * change[i]);
        let most = limits.yaw_acceleration * passed;
        let yaw_rate = before.yaw_rate + (self.yaw_rate - before.yaw_rate).clamp(-most, most);
        let goes = velocity != self.velocity || yaw_rate != self.yaw_rate;
        let schedule = match self.schedule.kind {
            Kind::Stand if goes => before.schedule,
            _ => self.schedule,
        };
        Self { velocity, yaw_rate, schedule, ..self }
    }
}

/// Where the refs are.
#[derive(Debug)]
pub struct Refs {
    gait: Handle<i32>,
    lin_vel: Handle<f32>,
    offsets: Handle<f32>,
    contact_flags: Handle<Bool>,
    ground_known: Handle<Bool>,
    numbers: [Told; COUNT],
    valid: Handle<Bool>,
}

#[derive(Debug)]
struct Told {
    handle: Handle<f32>,
    default: f64,
    range: [f64; 2],
}

/// Declared before the numbers.
const BEFORE: usize = 5;

impl Refs {
    /// Looks them up.
    pub fn of(setup: &Setup, stature: &Stature) -> Result<Self> {
        let mut handles = Vec::with_capacity(COUNT);
        let numbers = numbers(stature);
        for number in &numbers {
            handles.push(setup.refs(number.name)?);
        }
        let told =
            |i: usize| Told { handle: handles[i], default: numbers[i].default, range: numbers[i].range };
        Ok(Self {
            gait: setup.refs("gait")?,
            lin_vel: setup.refs("lin_vel")?,
            offsets: setup.refs("offsets")?,
            contact_flags: setup.refs("contact_flags")?,
            ground_known: setup.refs("ground_known")?,
            numbers: std::array::from_fn(told),
            valid: setup.refs("valid")?,
        })
    }

    /// The row's command; what is followed in its place is written back. What is not valid is at its default.
    pub fn read(&self, inputs: &mut Inputs<'_>) -> Result<Command, &'static str> {
        let numbers = self.numbers.iter().map(|told| told.handle).chain([self.lin_vel, self.offsets]);
        if numbers.into_iter().any(|handle| inputs.get(handle).iter().any(|value| !value.is_finite())) {
            return Err("one of the refs is not finite");
        }
        let valid = |inputs: &Inputs<'_>, declared: usize| inputs.get(self.valid)[declared].get();
        let code = if valid(inputs, 0) { inputs.scalar(self.gait) } else { Kind::Trot as i32 };
        let kind = usize::try_from(code).ok().and_then(|code| Kind::ALL.get(code)).copied();
        let kind = kind.ok_or("gait is none of 0 stand, 1 trot, 2 walk, 3 pace, 4 bound, 5 custom")?;
        let goes = kind != Kind::Stand;
        let velocity = if goes && valid(inputs, 1) { self.velocity(inputs) } else { [0.0; 2] };
        let own = |value: f64, told: &[f64; 2]| (value != 0.0).then(|| value.clamp(told[0], told[1]));
        let period = own(self.raw(inputs, GAIT_PERIOD), &self.numbers[GAIT_PERIOD].range);
        let duty = own(self.raw(inputs, DUTY), &self.numbers[DUTY].range);
        let mut schedule = Schedule::new(kind, period, duty);
        inputs.follow(self.numbers[GAIT_PERIOD].handle)[0] = schedule.period as f32;
        inputs.follow(self.numbers[DUTY].handle)[0] = schedule.duty as f32;
        if kind == Kind::Custom {
            if valid(inputs, 2) {
                let offsets = inputs.get(self.offsets);
                schedule.offsets = std::array::from_fn(|foot| f64::from(offsets[foot]).rem_euclid(1.0));
            }
            if valid(inputs, 3) {
                let flags = inputs.get(self.contact_flags);
                schedule.flags = std::array::from_fn(|foot| flags[foot].get());
            }
        }
        Ok(Command {
            velocity,
            schedule,
            yaw_rate: if goes { self.number(inputs, YAW_RATE) } else { 0.0 },
            height: self.number(inputs, BASE_HEIGHT),
            roll: self.number(inputs, ROLL),
            pitch: self.number(inputs, PITCH),
            swing_height: self.number(inputs, SWING_HEIGHT),
            phase: self.number(inputs, PHASE),
            friction: self.number(inputs, FRICTION),
            payload: self.number(inputs, PAYLOAD),
            ground: (valid(inputs, 4)
                && inputs.scalar(self.ground_known).get()
                && valid(inputs, BEFORE + GROUND))
            .then(|| self.number(inputs, GROUND)),
        })
    }

    /// Shows what the row follows by now: where in its cycle it is, and how fast it is to go.
    pub fn show(&self, inputs: &mut Inputs<'_>, followed: &Command) {
        inputs.follow(self.lin_vel).copy_from_slice(&followed.velocity.map(|part| part as f32));
        inputs.follow(self.numbers[YAW_RATE].handle)[0] = followed.yaw_rate as f32;
        inputs.follow(self.numbers[PHASE].handle)[0] = followed.phase as f32;
    }

    fn velocity(&self, inputs: &Inputs<'_>) -> [f64; 2] {
        let asked: [f64; 2] = std::array::from_fn(|i| f64::from(inputs.get(self.lin_vel)[i]));
        let speed = asked[0].hypot(asked[1]);
        if speed > FASTEST { asked.map(|part| part * FASTEST / speed) } else { asked }
    }

    fn raw(&self, inputs: &Inputs<'_>, number: usize) -> f64 {
        let told = &self.numbers[number];
        match inputs.get(self.valid)[BEFORE + number].get() {
            true => f64::from(inputs.scalar(told.handle)),
            false => told.default,
        }
    }

    fn number(&self, inputs: &mut Inputs<'_>, number: usize) -> f64 {
        let (raw, told) = (self.raw(inputs, number), &self.numbers[number]);
        let value = raw.clamp(told.range[0], told.range[1]);
        if value != raw || !inputs.get(self.valid)[BEFORE + number].get() {
            inputs.follow(told.handle)[0] = value as f32;
        }
        value
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A trot in place.
    pub fn command() -> Command {
        Command {
            velocity: [0.0; 2],
            yaw_rate: 0.0,
            height: 0.3,
            roll: 0.0,
            pitch: 0.0,
            schedule: Schedule::new(Kind::Trot, None, None),
            swing_height: 0.06,
            phase: 0.0,
            friction: 0.5,
            payload: 0.0,
            ground: None,
        }
    }

    #[test]
    fn velocities_are_approached_and_a_robot_stands_when_it_has_stopped() {
        let limits = Body { acceleration: 2.0, yaw_acceleration: 5.0, ..Body::default() };
        let told = Command { velocity: [0.3, -0.4], yaw_rate: 1.0, ..command() };
        let mut now = command();
        for round in 1..=30 {
            now = told.clone().approached(&now, &limits, 0.01);
            let share = (0.02 * f64::from(round) / 0.5f64).min(1.0);
            assert!((now.velocity[0] - 0.3 * share).abs() < 1e-9, "{now:?}");
            assert!((now.velocity[1] + 0.4 * share).abs() < 1e-9, "{now:?}");
            assert!((now.yaw_rate - (0.05 * f64::from(round)).min(1.0)).abs() < 1e-9, "{now:?}");
        }
        let stand = Command { schedule: Schedule::new(Kind::Stand, None, None), ..command() };
        let stops = (0..100).find(|_| {
            now = stand.clone().approached(&now, &limits, 0.01);
            now.schedule.kind == Kind::Stand
        });
        assert!((23..27).contains(&stops.unwrap()), "after 0.25 s: {stops:?}");
        assert_eq!((now.velocity, now.yaw_rate), ([0.0; 2], 0.0));
    }

    #[test]
    fn defaults_are_within_their_ranges() {
        let stature =
            Stature { height: 0.3, height_max: 0.38, feet: ["FL", "FR", "RL", "RR"].map(Into::into) };
        for number in numbers(&stature) {
            let own = matches!(number.name, "gait_period" | "duty");
            let within = (number.range[0]..=number.range[1]).contains(&number.default);
            assert!(own || within, "{}", number.name);
        }
        let fields = fields(&stature);
        assert_eq!(fields.len(), BEFORE + COUNT);
        assert_eq!(fields[BEFORE + GROUND].name, "ground");
        assert_eq!(fields[BEFORE + PAYLOAD].name, "payload");
    }
}
