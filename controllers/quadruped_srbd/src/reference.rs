//! Where the body shall be: a point that runs ahead of the robot as commanded, and the trajectory from there.

use crate::{params::Body, refs::Command};
use phalanx_ocp::vec3::V3;
use std::f64::consts::TAU;

/// How far a reference of roll or pitch may be shifted to work off a steady error, rad.
const TILT_SHIFT: f64 = 0.2;
/// How far that of the height may be, of the height.
const HEIGHT_SHIFT: f64 = 0.1;

/// Time in which a robot that stands comes over its feet, s.
const DRAW_TIME: f64 = 0.3;

/// Turns a horizontal vector.
pub fn turned([x, y]: [f64; 2], yaw: f64) -> [f64; 2] {
    let (sin, cos) = yaw.sin_cos();
    [cos * x - sin * y, sin * x + cos * y]
}

/// An angle, or the same one within ±π.
pub fn wrapped(angle: f64) -> f64 {
    angle - TAU * (angle / TAU).round()
}

/// Where the base is to be now, and what it has learnt to add.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Anchor {
    /// Where the robot was, m, and its yaw, rad.
    last: [f64; 2],
    last_yaw: f64,
    /// How far ahead of the robot it is, in the robot's heading, m: so far it is behind what was commanded.
    /// It turns with the robot, or in a curve a lasting lag would pull the robot off its course.
    ahead: [f64; 2],
    yaw: f64,
    /// Of roll, pitch, rad, and height, m: what it takes to hold them.
    shift: V3,
}

impl Anchor {
    /// Where the robot is.
    pub fn at(pos: V3, yaw: f64) -> Self {
        Self { last: [pos[0], pos[1]], last_yaw: yaw, yaw: wrapped(yaw), ..Self::default() }
    }

    /// The robot's yaw, counted without a jump from the one to follow.
    pub fn unwound(&self, yaw: f64) -> f64 {
        self.yaw + wrapped(yaw - self.yaw)
    }

    /// Moves on by `passed` seconds, not further ahead of the robot at `pos`, `rpy` than allowed. `height` is
    /// the robot's over the ground.
    pub fn follow(&mut self, command: &Command, limits: &Body, pos: V3, rpy: V3, height: f64, passed: f64) {
        let heading = self.last_yaw + 0.5 * wrapped(rpy[2] - self.last_yaw);
        let gone = turned([pos[0] - self.last[0], pos[1] - self.last[1]], -heading);
        let ahead: [f64; 2] = std::array::from_fn(|i| self.ahead[i] + passed * command.velocity[i] - gone[i]);
        let far = ahead[0].hypot(ahead[1]);
        let share = if far > limits.lead { limits.lead / far } else { 1.0 };
        self.ahead = ahead.map(|part| share * part);
        (self.last, self.last_yaw) = ([pos[0], pos[1]], rpy[2]);
        let turn = wrapped(self.yaw + passed * command.yaw_rate - rpy[2]);
        self.yaw = wrapped(rpy[2] + turn.clamp(-limits.yaw_lead, limits.yaw_lead));
        let errors = [command.roll - rpy[0], command.pitch - rpy[1], command.height - height];
        let rates = [limits.tilt_integral, limits.tilt_integral, limits.height_integral];
        let most = [TILT_SHIFT, TILT_SHIFT, HEIGHT_SHIFT * command.height];
        self.shift =
            std::array::from_fn(|i| (self.shift[i] + rates[i] * passed * errors[i]).clamp(-most[i], most[i]));
    }

    /// Draws it to a place, in the world: over the feet of a robot that stands. `yaw` is the robot's.
    pub fn draw(&mut self, place: [f64; 2], yaw: f64, passed: f64) {
        let goal = turned([place[0] - self.last[0], place[1] - self.last[1]], -yaw);
        let share = (passed / DRAW_TIME).min(1.0);
        self.ahead = std::array::from_fn(|i| self.ahead[i] + share * (goal[i] - self.ahead[i]));
    }

    /// The centre of mass's states that the MPC shall follow, `dt` apart, the first one `dt` from now: roll,
    /// pitch, yaw, position, angular and linear velocity. Velocities are commanded in the frame of the
    /// robot's `heading`, not of the one it should have; `com` is the centre of mass in the base's frame,
    /// `ground` the height of what the robot stands on.
    pub fn trajectory(
        &self,
        command: &Command,
        heading: f64,
        com: V3,
        ground: f64,
        dt: f64,
        states: &mut [[f64; 12]],
    ) {
        let (rate, ahead) = (command.yaw_rate, turned(self.ahead, heading));
        let [mut x, mut y] = [self.last[0] + ahead[0], self.last[1] + ahead[1]];
        let z = ground + command.height + self.shift[2] + com[2];
        let (roll, pitch) = (command.roll + self.shift[0], command.pitch + self.shift[1]);
        let (mut yaw, mut heading) = (self.yaw, heading);
        for state in states {
            let step = turned(command.velocity, heading + 0.5 * dt * rate);
            (x, y) = (x + dt * step[0], y + dt * step[1]);
            (yaw, heading) = (yaw + dt * rate, heading + dt * rate);
            let arm = turned([com[0], com[1]], yaw);
            let velocity = turned(command.velocity, heading);
            let [vx, vy] = [velocity[0] - rate * arm[1], velocity[1] + rate * arm[0]];
            *state = [roll, pitch, yaw, x + arm[0], y + arm[1], z, 0.0, 0.0, rate, vx, vy, 0.0];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refs::tests::command;

    const DT: f64 = 0.01;

    /// A robot that does exactly as it is told, for so many rounds; where it ends and the anchor.
    fn obeyed(told: &Command, rounds: usize) -> (V3, f64, Anchor) {
        let (mut pos, mut yaw) = ([0.0, 0.0, told.height], 0.0);
        let mut anchor = Anchor::at(pos, yaw);
        for _ in 0..rounds {
            let step = turned(told.velocity, yaw + 0.5 * DT * told.yaw_rate);
            pos = [pos[0] + DT * step[0], pos[1] + DT * step[1], pos[2]];
            yaw = wrapped(yaw + DT * told.yaw_rate);
            anchor.follow(told, &Body::default(), pos, [0.0, 0.0, yaw], told.height, DT);
        }
        (pos, yaw, anchor)
    }

    #[test]
    fn who_does_as_told_is_where_he_should_be() {
        let told = Command { velocity: [0.5, 0.2], yaw_rate: 0.7, ..command() };
        let (_, yaw, anchor) = obeyed(&told, 2000);
        assert!(anchor.ahead[0].hypot(anchor.ahead[1]) < 1e-9, "{anchor:?}");
        assert!(wrapped(anchor.yaw - yaw).abs() < 1e-9);
        assert_eq!(anchor.shift, [0.0; 3]);
    }

    #[test]
    fn it_waits_for_a_robot_that_is_held() {
        let told = Command { velocity: [1.0, 0.0], yaw_rate: 2.0, ..command() };
        let mut anchor = Anchor::at([3.0, 4.0, 0.3], 3.0);
        for _ in 0..500 {
            anchor.follow(&told, &Body::default(), [3.0, 4.0, 0.3], [0.0, 0.0, 3.0], 0.3, DT);
        }
        assert!((anchor.ahead[0] - 0.1).abs() < 1e-9 && anchor.ahead[1].abs() < 1e-9, "{anchor:?}");
        assert!((wrapped(anchor.yaw - 3.0) - 0.3).abs() < 1e-9);
    }

    #[test]
    fn steady_errors_shift_it_as_far_as_allowed() {
        let told = command();
        let mut anchor = Anchor::at([0.0, 0.0, 0.3], 0.0);
        let mut before = anchor.shift;
        for _ in 0..1000 {
            anchor.follow(&told, &Body::default(), [0.0, 0.0, 0.3], [0.01, -0.02, 0.0], 0.29, DT);
            assert!(
                anchor.shift[0] <= before[0] && anchor.shift[1] >= before[1] && anchor.shift[2] >= before[2]
            );
            before = anchor.shift;
        }
        assert!((before[0] + TILT_SHIFT).abs() < 1e-12 && (before[1] - TILT_SHIFT).abs() < 1e-12);
        assert!((before[2] - HEIGHT_SHIFT * told.height).abs() < 1e-12);
    }

    #[test]
    fn yaw_is_counted_through() {
        let anchor = Anchor::at([0.0; 3], 3.1);
        assert!((anchor.unwound(-3.1) - (TAU - 3.1)).abs() < 1e-12);
        assert!((anchor.unwound(3.0) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_trajectory_is_a_circle_whose_velocities_are_its_derivatives() {
        let told = Command { velocity: [0.6, 0.1], yaw_rate: 1.2, ..command() };
        let anchor = Anchor::at([1.0, -1.0, 0.3], 0.5);
        let mut states = [[0.0; 12]; 50];
        let (com, dt) = ([0.03, 0.01, -0.02], 1e-3);
        anchor.trajectory(&told, 0.5, com, 0.1, dt, &mut states);
        for pair in states.windows(2) {
            for i in 0..3 {
                let [angle, place] = [i, 3 + i].map(|j| (pair[1][j] - pair[0][j]) / dt);
                assert!((angle - pair[0][6 + i]).abs() < 1e-2);
                assert!((place - 0.5 * (pair[0][9 + i] + pair[1][9 + i])).abs() < 1e-3, "{pair:?}");
            }
        }
        assert!((states[0][5] - (0.1 + 0.3 - 0.02)).abs() < 1e-12);
    }
}
