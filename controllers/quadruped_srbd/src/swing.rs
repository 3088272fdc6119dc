//! How a foot travels from where it left the ground to where it shall touch down.

use phalanx_ocp::vec3::{V3, add, scale, sub};

/// A moment of a foot's way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Position, m.
    pub pos: V3,
    /// Velocity, m/s.
    pub vel: V3,
    /// Acceleration, m/s².
    pub acc: V3,
}

/// The way from `from` to `to` in `duration` seconds, `elapsed` seconds after it began: `height` above the
/// straight line in the middle, at rest at both ends, with no jump in the acceleration.
pub fn along(from: V3, to: V3, height: f64, elapsed: f64, duration: f64) -> Moment {
    let s = (elapsed / duration).clamp(0.0, 1.0);
    let (way, lift) = (smooth(s), bump(s));
    let line = sub(to, from);
    let rate = 1.0 / duration;
    let at = |order: usize, rate: f64| {
        add(scale(way[order] * rate, line), [0.0, 0.0, height * lift[order] * rate])
    };
    Moment { pos: add(from, at(0, 1.0)), vel: at(1, rate), acc: at(2, rate * rate) }
}

/// From 0 to 1 at rest at both ends: value, first and second derivative.
fn smooth(s: f64) -> [f64; 3] {
    let rest = 1.0 - s;
    [
        s * s * s * (10.0 - 15.0 * s + 6.0 * s * s),
        30.0 * s * s * rest * rest,
        60.0 * s * rest * (1.0 - 2.0 * s),
    ]
}

/// From 0 up to 1 and back, at rest at both ends: value, first and second derivative.
fn bump(s: f64) -> [f64; 3] {
    let both = s * (1.0 - s);
    let slope = 1.0 - 2.0 * s;
    [64.0 * both * both * both, 192.0 * both * both * slope, 384.0 * both * (slope * slope - both)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REST: V3 = [0.0; 3];

    #[test]
    fn the_apex_is_as_high_as_asked() {
        let middle = along([0.0, 0.0, 0.1], [0.2, 0.0, 0.1], 0.07, 0.1, 0.2);
        assert!((middle.pos[2] - 0.17).abs() < 1e-12 && (middle.pos[0] - 0.1).abs() < 1e-12);
        assert_eq!(middle.vel[2], 0.0);
    }

    proptest! {
        #[test]
        fn it_rests_at_both_ends_and_its_rates_are_its_derivatives(
            from in prop::array::uniform3(-1.0..1.0f64),
            to in prop::array::uniform3(-1.0..1.0f64),
            height in 0.0..0.3f64,
            duration in 0.05..1.0f64,
            share in 0.01..0.99f64,
        ) {
            let at = |elapsed| along(from, to, height, elapsed, duration);
            prop_assert_eq!(at(0.0), Moment { pos: from, vel: REST, acc: REST });
            for late in [duration, 2.0 * duration] {
                let end = at(late);
                prop_assert!((0..3).all(|i| (end.pos[i] - to[i]).abs() < 1e-12));
                prop_assert!((0..3).all(|i| end.vel[i] == 0.0 && end.acc[i] == 0.0));
            }
            let (t, h) = (share * duration, 1e-4 * share.min(1.0 - share) * duration);
            let (before, now, after) = (at(t - h), at(t), at(t + h));
            for i in 0..3 {
                let speed = (after.pos[i] - before.pos[i]) / (2.0 * h);
                let change = (after.vel[i] - before.vel[i]) / (2.0 * h);
                prop_assert!((speed - now.vel[i]).abs() < 1e-4 * (1.0 + 1.0 / duration));
                prop_assert!((change - now.acc[i]).abs() < 1e-3 * (1.0 + 10.0 / (duration * duration)));
            }
        }
    }
}
