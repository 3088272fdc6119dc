//! When which foot is on the ground: gaits as tables, and the feet of a row that follow one.
//!
//! A gait gives each foot its part of the cycle; a foot that has left the ground ends its step by its own
//! clock. So gait, period and duty may change at any time: what is in the air lands as it was going to, and
//! what stands leaves when its turn comes again.

/// Front left, front right, rear left, rear right: the feet are in this order everywhere.
pub const FEET: usize = 4;

/// A foot that finds itself so far into its time in the air, and for more than a round, waits for the next.
const LATE: f64 = 0.3;
/// Where in a round its feet are judged: about the middle, but not where one foot's landing and another's
/// leaving, if they fall together, would be told apart by rounding.
const MIDDLE: f64 = 0.499;
/// A foot may find the ground from here on.
const EARLY: f64 = 0.5;

/// How the feet take turns; as a number, the ref `gait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All feet stay on the ground.
    Stand,
    /// Diagonal pairs.
    Trot,
    /// One foot at a time.
    Walk,
    /// Left and right pairs.
    Pace,
    /// Front and rear pairs.
    Bound,
    /// As the refs `offsets` and `contact_flags` say.
    Custom,
}

impl Kind {
    /// By number.
    pub const ALL: [Kind; 6] = [Kind::Stand, Kind::Trot, Kind::Walk, Kind::Pace, Kind::Bound, Kind::Custom];

    /// Phase of each foot when the gait's is 0. A foot touches down at 0.
    fn offsets(self) -> [f64; FEET] {
        match self {
            Kind::Stand => [0.0; FEET],
            Kind::Trot | Kind::Custom => [0.0, 0.5, 0.5, 0.0],
            Kind::Walk => [0.75, 0.25, 0.0, 0.5],
            Kind::Pace => [0.0, 0.5, 0.0, 0.5],
            Kind::Bound => [0.0, 0.0, 0.5, 0.5],
        }
    }

    /// Time of a cycle, s.
    fn period(self) -> f64 {
        match self {
            Kind::Walk => 0.5,
            _ => 0.3,
        }
    }

    /// Share of the cycle that a foot is on the ground.
    fn duty(self) -> f64 {
        match self {
            Kind::Walk => 0.75,
            Kind::Stand => 1.0,
            _ => 0.5,
        }
    }

    /// How far apart the feet are set, forward and sideways, of where they are at rest: a pair that carries
    /// the robot alone has to be near the middle.
    pub fn spread(self) -> [f64; 2] {
        match self {
            Kind::Pace => [1.0, 0.5],
            Kind::Bound => [0.7, 1.0],
            _ => [1.0, 1.0],
        }
    }
}

/// A gait as it is commanded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Which.
    pub kind: Kind,
    /// Time of a cycle, s.
    pub period: f64,
    /// Share of the cycle that a foot is on the ground.
    pub duty: f64,
    /// Phase of each foot when the gait's is 0.
    pub offsets: [f64; FEET],
    /// A standing foot whose flag is down takes a step at once.
    pub flags: [bool; FEET],
}

impl Schedule {
    /// A gait, with its own period and duty where they are `None`.
    pub fn new(kind: Kind, period: Option<f64>, duty: Option<f64>) -> Self {
        Self {
            kind,
            period: period.unwrap_or(kind.period()),
            duty: duty.unwrap_or(kind.duty()),
            offsets: kind.offsets(),
            flags: [true; FEET],
        }
    }

    /// How long a foot is in the air, s.
    pub fn flight(&self) -> f64 {
        // Where flags alone lift feet, half of the cycle.
        if self.duty < 1.0 { (1.0 - self.duty) * self.period } else { 0.5 * self.period }
    }

    /// How long a foot is on the ground, s.
    pub fn stance(&self) -> f64 {
        self.duty * self.period
    }

    /// How far a foot is through its time in the air when the gait's phase is `phase`; `None` on the ground.
    fn in_air(&self, foot: usize, phase: f64) -> Option<f64> {
        let own = (phase + self.offsets[foot]).rem_euclid(1.0);
        (self.kind != Kind::Stand && own >= self.duty).then(|| (own - self.duty) / (1.0 - self.duty))
    }
}

/// A step that a foot is taking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Time since it left the ground, s.
    pub elapsed: f64,
    /// Time it takes, s.
    pub duration: f64,
}

impl Step {
    /// Time to touchdown, s.
    pub fn left(&self) -> f64 {
        (self.duration - self.elapsed).max(0.0)
    }
}

/// The feet of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gait {
    /// Of the cycle, from 0 to 1.
    pub phase: f64,
    /// The step each foot is taking; `None` on the ground.
    pub steps: [Option<Step>; FEET],
}

impl Gait {
    /// Moves on by `passed` seconds, to a round that lasts `dt`: what is decided now holds for all of it, so
    /// the feet are where they should be in its middle.
    pub fn advance(&mut self, schedule: &Schedule, passed: f64, dt: f64) {
        self.phase = match schedule.kind {
            Kind::Stand if self.steps == [None; FEET] => 0.0,
            _ => (self.phase + passed / schedule.period).rem_euclid(1.0),
        };
        let early = MIDDLE * dt;
        let middle = self.phase + early / schedule.period;
        for foot in 0..FEET {
            self.steps[foot] = self.steps[foot]
                .map(|step| Step { elapsed: step.elapsed + passed, ..step })
                .filter(|step| step.elapsed + early < step.duration)
                .or_else(|| self.lift(schedule, foot, middle, early));
        }
    }

    /// The step that a foot on the ground begins, `early` seconds before the gait is in this phase.
    fn lift(&self, schedule: &Schedule, foot: usize, phase: f64, early: f64) -> Option<Step> {
        if self.steps[foot].is_some() {
            return None; // it lands in this very moment
        }
        let late = |done: f64| done >= LATE && done * schedule.flight() >= early / MIDDLE;
        let begun = schedule.in_air(foot, phase).filter(|&done| !late(done));
        let told = (schedule.kind == Kind::Custom && !schedule.flags[foot]).then_some(());
        let step = |left| Step { elapsed: 0.0, duration: left };
        begun
            .map(|done| step((1.0 - done) * schedule.flight() + early))
            .or(told.map(|_| step(schedule.flight())))
    }

    /// The foot has found the ground: if its step is far enough, it is over.
    pub fn touch(&mut self, foot: usize) {
        if self.steps[foot].is_some_and(|step| step.elapsed > EARLY * step.duration) {
            self.steps[foot] = None;
        }
    }

    /// Will the foot be on the ground `ahead` seconds from now?
    pub fn contact(&self, schedule: &Schedule, foot: usize, ahead: f64) -> bool {
        let waits = match self.steps[foot] {
            Some(step) if ahead < step.left() => return false,
            Some(_) => 0.0,
            // It missed its turn, and stands until the next one.
            None => schedule.in_air(foot, self.phase).map_or(0.0, |done| (1.0 - done) * schedule.flight()),
        };
        ahead < waits || schedule.in_air(foot, self.phase + ahead / schedule.period).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rounds, s.
    const DT: f64 = 0.01;

    fn contacts(gait: &Gait) -> [bool; FEET] {
        gait.steps.map(|step| step.is_none())
    }

    /// The feet in each round, from the beginning.
    fn rounds(schedule: &Schedule, count: usize, dt: f64) -> Vec<[bool; FEET]> {
        let mut gait = Gait::default();
        let round = |i| {
            gait.advance(schedule, if i == 0 { 0.0 } else { dt }, dt);
            contacts(&gait)
        };
        (0..count).map(round).collect()
    }

    fn gait(kind: Kind) -> Schedule {
        Schedule::new(kind, None, None)
    }

    #[test]
    fn pairs_take_turns() {
        for (kind, pair) in [
            (Kind::Trot, [true, false, false, true]),
            (Kind::Pace, [true, false, true, false]),
            (Kind::Bound, [true, true, false, false]),
        ] {
            let seen = rounds(&gait(kind), 300, DT);
            let other = pair.map(|stands| !stands);
            for (i, feet) in seen.iter().enumerate() {
                let first = (i * 10 / 150) % 2 == 0;
                assert_eq!(*feet, if first { pair } else { other }, "{kind:?} in round {i}");
            }
        }
    }

    #[test]
    fn a_walk_has_three_feet_on_the_ground_and_each_foot_its_turn() {
        let seen = &rounds(&gait(Kind::Walk), 500, DT);
        assert!(seen.iter().all(|feet| feet.iter().filter(|&&stands| stands).count() >= 3));
        let lifted: Vec<usize> =
            (1..500).flat_map(|i| (0..FEET).filter(move |&f| seen[i - 1][f] && !seen[i][f])).collect();
        // Each rear foot, then the front one of its side.
        for turn in lifted.windows(2) {
            assert_eq!([3, 2, 0, 1][turn[0]], turn[1], "{lifted:?}");
        }
        assert!(lifted.len() > 30);
    }

    #[test]
    fn to_stand_a_foot_in_the_air_lands_and_stays() {
        let mut feet = Gait::default();
        for round in 0..40 {
            let kind = if round < 5 { Kind::Trot } else { Kind::Stand };
            feet.advance(&gait(kind), if round == 0 { 0.0 } else { DT }, DT);
            let stands = contacts(&feet);
            assert_eq!(stands[1], round >= 15, "round {round}");
            assert!(stands[0] && stands[3], "a foot on the ground stays there");
        }
        assert_eq!(feet.phase, 0.0, "and the next gait begins with its beginning");
    }

    #[test]
    fn whatever_changes_a_step_ends_as_it_began() {
        let mut feet = Gait::default();
        feet.advance(&gait(Kind::Trot), 0.0, DT);
        let step = feet.steps[1].unwrap();
        let slow = Schedule::new(Kind::Bound, Some(2.0), Some(0.9));
        for round in 1..15 {
            feet.advance(&slow, DT, DT);
            let now = feet.steps[1].unwrap();
            assert_eq!(now.duration, step.duration);
            assert!((now.elapsed - f64::from(round) * DT).abs() < 1e-9);
        }
        feet.advance(&slow, DT, DT);
        assert_eq!(feet.steps[1], None);
    }

    #[test]
    fn the_ground_is_found_late_in_a_step_only() {
        let mut feet =
            Gait { steps: [Some(Step { elapsed: 0.05, duration: 0.15 }), None, None, None], phase: 0.0 };
        feet.touch(0);
        assert!(feet.steps[0].is_some());
        feet.steps[0] = Some(Step { elapsed: 0.1, duration: 0.15 });
        feet.touch(0);
        assert_eq!(feet.steps[0], None);
        // Its turn to be in the air is not over, but it does not leave again.
        let trot = Schedule::new(Kind::Trot, None, None);
        let mut feet = Gait { phase: 0.85, steps: [None; FEET] };
        feet.advance(&trot, 0.0, DT);
        assert_eq!(feet.steps[0], None);
        assert!(feet.contact(&trot, 0, 0.03) && feet.contact(&trot, 0, 0.06) && !feet.contact(&trot, 0, 0.2));
    }

    #[test]
    fn flags_lift_the_feet_of_a_custom_gait() {
        let mut custom = Schedule::new(Kind::Custom, Some(0.4), Some(1.0));
        let mut feet = Gait::default();
        feet.advance(&custom, 0.0, DT);
        assert_eq!(contacts(&feet), [true; FEET]);
        custom.flags[2] = false;
        feet.advance(&custom, DT, DT);
        assert_eq!(contacts(&feet), [true, true, false, true]);
        assert!(!feet.contact(&custom, 2, 0.19) && feet.contact(&custom, 2, 0.21));
        custom.flags[2] = true;
        (0..20).for_each(|_| feet.advance(&custom, DT, DT));
        assert_eq!(contacts(&feet), [true; FEET]);
    }

    proptest! {
        #[test]
        fn what_is_foreseen_comes(
            kind in prop::sample::select(vec![Kind::Trot, Kind::Walk, Kind::Pace, Kind::Bound]),
            period in 0.1..2.0f64,
            duty in 0.2..1.0f64,
            begun in 0usize..300,
        ) {
            let schedule = Schedule::new(kind, Some(period), Some(duty));
            let mut feet = Gait::default();
            for round in 0..=begun {
                feet.advance(&schedule, if round == 0 { 0.0 } else { DT }, DT);
            }
            let mut later = feet;
            for round in 1..60 {
                later.advance(&schedule, DT, DT);
                for foot in 0..FEET {
                    let (from, to) = (f64::from(round) * DT, f64::from(round + 1) * DT);
                    let foreseen = |ahead| feet.contact(&schedule, foot, ahead);
                    let foreseen = [from, 0.5 * (from + to), to].map(foreseen);
                    // Rounds in which it lands or leaves are both.
                    if foreseen == [foreseen[0]; 3] {
                        let stands = later.steps[foot].is_none();
                        prop_assert_eq!(stands, foreseen[0], "foot {} round {}", foot, round);
                    }
                }
            }
        }

        #[test]
        fn any_change_keeps_the_feet_in_order(
            changes in prop::collection::vec(
                (0usize..6, 0.1..3.0f64, 0.1..=1.0f64, any::<[bool; FEET]>()),
                1..30,
            ),
        ) {
            let mut feet = Gait::default();
            for (kind, period, duty, flags) in changes {
                let schedule = Schedule { flags, ..Schedule::new(Kind::ALL[kind], Some(period), Some(duty)) };
                for _ in 0..13 {
                    feet.advance(&schedule, DT, DT);
                    prop_assert!((0.0..1.0).contains(&feet.phase));
                    for step in feet.steps.into_iter().flatten() {
                        prop_assert!(step.duration > 0.0 && step.duration.is_finite());
                        prop_assert!(0.0 <= step.elapsed && step.elapsed < step.duration.max(DT));
                    }
                }
            }
        }
    }
}
