//! Where feet touch down.

use crate::{reference::turned, refs::Command};
use phalanx_ocp::vec3::V3;

/// How near to the middle of the robot a foot may be set, of its distance from it at rest.
const OWN_SIDE: f64 = 0.2;

/// What a step is planned from.
#[derive(Clone, Copy, Debug)]
pub struct Stride {
    /// Of the base, in the world, m and m/s.
    pub pos: V3,
    /// Of the base, in the world.
    pub vel: V3,
    /// Of the base, rad.
    pub yaw: f64,
    /// How much further a step goes per velocity that is too much, s.
    pub gain: f64,
    /// Gravity, m/s².
    pub gravity: f64,
}

impl Stride {
    /// Where a foot, which at rest is at `rest` in the base's horizontal frame, shall be in `left` seconds:
    /// so that in the middle of its stance it is under its place in the base, further out where the robot is
    /// too fast or in a curve, and within `reach` of its place when it touches down.
    pub fn foothold(&self, command: &Command, rest: [f64; 2], left: f64, reach: f64) -> [f64; 2] {
        let half = 0.5 * command.schedule.stance();
        let wanted = turned(command.velocity, self.yaw);
        let place = turned(rest, self.yaw + command.yaw_rate * (left + half));
        // What draws the robot into the curve is the share of its weight that its feet are beside it, per
        // height.
        let curve = command.height / self.gravity * command.yaw_rate;
        let step: [f64; 2] = [
            self.vel[0] * half + self.gain * (self.vel[0] - wanted[0]) + curve * wanted[1],
            self.vel[1] * half + self.gain * (self.vel[1] - wanted[1]) - curve * wanted[0],
        ];
        let far = step[0].hypot(step[1]);
        let share = if far > reach { reach / far } else { 1.0 };
        let yaw = self.yaw + command.yaw_rate * left;
        let mut offset = turned([place[0] + share * step[0], place[1] + share * step[1]], -yaw);
        let nearest = OWN_SIDE * rest[1].abs();
        offset[1] = if rest[1] >= 0.0 { offset[1].max(nearest) } else { offset[1].min(-nearest) };
        let [x, y] = turned(offset, yaw);
        [self.pos[0] + left * self.vel[0] + x, self.pos[1] + left * self.vel[1] + y]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gait::{Kind, Schedule},
        refs::tests::command,
    };
    use proptest::prelude::*;

    const STRIDE: Stride = Stride { pos: [1.0, 2.0, 0.3], vel: [0.0; 3], yaw: 0.0, gain: 0.1, gravity: 9.81 };
    const REST: [f64; 2] = [0.2, 0.13];

    fn near(a: [f64; 2], b: [f64; 2]) -> bool {
        (a[0] - b[0]).hypot(a[1] - b[1]) < 1e-12
    }

    #[test]
    fn a_robot_at_rest_steps_in_place() {
        assert!(near(STRIDE.foothold(&command(), REST, 0.1, 0.2), [1.2, 2.13]));
    }

    #[test]
    fn a_steady_robot_passes_over_the_middle_of_its_stance() {
        let told = crate::refs::Command { velocity: [0.8, 0.0], ..command() };
        let stride = Stride { vel: [0.8, 0.0, 0.0], ..STRIDE };
        let stance = told.schedule.stance();
        let at = stride.foothold(&told, REST, 0.1, 1.0);
        assert!(near(at, [1.0 + 0.8 * (0.1 + 0.5 * stance) + 0.2, 2.13]));
        // Pushed forward, it steps further still.
        let pushed = Stride { vel: [1.0, 0.0, 0.0], ..STRIDE };
        let more = pushed.foothold(&told, REST, 0.0, 1.0)[0] - stride.foothold(&told, REST, 0.0, 1.0)[0];
        assert!((more - 0.2 * (0.5 * stance + 0.1)).abs() < 1e-12);
    }

    #[test]
    fn in_a_curve_the_feet_are_outside() {
        let told = crate::refs::Command { velocity: [1.0, 0.0], yaw_rate: 1.0, ..command() };
        let stride = Stride { vel: [1.0, 0.0, 0.0], ..STRIDE };
        let mean = 0.5
            * (stride.foothold(&told, REST, 0.0, 1.0)[1] + stride.foothold(&told, [0.2, -0.13], 0.0, 1.0)[1]);
        let straight = crate::refs::Command { yaw_rate: 1.0, ..command() };
        let still = 0.5
            * (STRIDE.foothold(&straight, REST, 0.0, 1.0)[1]
                + STRIDE.foothold(&straight, [0.2, -0.13], 0.0, 1.0)[1]);
        // To the left it turns, and to the right the feet are, by the height times acceleration over gravity.
        assert!((mean - still + told.height / 9.81).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn footholds_are_within_reach_and_on_their_own_side(
            vel in prop::array::uniform3(-20.0..20.0f64),
            velocity in prop::array::uniform2(-10.0..10.0f64),
            yaw in -3.0..3.0f64,
            yaw_rate in -10.0..10.0f64,
            left in 0.0..0.5f64,
            reach in 0.0..0.4f64,
            side in prop::sample::select(vec![-0.13, 0.13]),
        ) {
            let stride = Stride { vel, yaw, ..STRIDE };
            let schedule = Schedule::new(Kind::Trot, Some(0.5), Some(0.5));
            let told = crate::refs::Command { velocity, yaw_rate, schedule, ..command() };
            let at = stride.foothold(&told, [0.2, side], left, reach);
            let from = [at[0] - 1.0 - left * vel[0], at[1] - 2.0 - left * vel[1]];
            let own = turned(from, -(yaw + left * yaw_rate));
            prop_assert!(own[1] * side > 0.0);
            prop_assert!(own[0].hypot(own[1]) <= 0.2f64.hypot(0.13) + reach + 0.13 + 1e-9);
        }
    }
}
