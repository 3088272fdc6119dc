//! The best change of an input within its limits, and how it reacts to the state (Tassa, Mansard and Todorov 2014).

use super::dense;
use crate::lanes::{Mask, Real};

/// Newton steps at most: the set of limits that hold is found in a few, or all but found.
const STEPS: usize = 12;

/// A change of the input and its reaction to a change of the state.
pub struct Policy<T: Real, const NX: usize, const NU: usize> {
    /// The change.
    pub change: [T; NU],
    /// The reaction; none where a limit holds.
    pub gain: [[T; NX]; NU],
    /// Where the Hessian is positive definite; nothing else is to be trusted where it is not.
    pub sound: T::Mask,
}

/// Minimises `½ d·H d + g·d` for `lower ≤ d ≤ upper`; `hux` is the mixed Hessian. `H` is given by its lower triangle.
#[inline(always)]
pub fn solve<T: Real, const NX: usize, const NU: usize>(
    h: &[[T; NU]; NU],
    g: &[T; NU],
    hux: &[[T; NX]; NU],
    lower: &[T; NU],
    upper: &[T; NU],
) -> Policy<T, NX, NU> {
    if NU == 1 {
        return along_a_line(h, g, hux, lower, upper);
    }
    let nobody = [T::Mask::splat(false); NU];
    let free_factor = Factor::of(h, &nobody);
    let mut change = free_factor.solve(g);
    let mut inside = free_factor.sound;
    for i in 0..NU {
        change[i] = -change[i];
        inside = inside & lower[i].le(change[i]) & change[i].le(upper[i]);
        change[i] = change[i].clamped(lower[i], upper[i]);
    }
    let (mut factor, mut held) = (free_factor, nobody);
    let mut active = !inside & free_factor.sound;
    for _ in 0..STEPS {
        if !active.any() {
            break;
        }
        let slope = slope_of(h, g, &change);
        let mut holds = held;
        let mut as_before = T::Mask::splat(true);
        for i in 0..NU {
            let pressed = (change[i].le(lower[i]) & T::zero().lt(slope[i]))
                | (upper[i].le(change[i]) & slope[i].lt(T::zero()));
            as_before = as_before & !((pressed & !held[i]) | (held[i] & !pressed));
            holds[i] = (active & pressed) | (!active & held[i]);
        }
        held = holds;
        let newer = Factor::of(h, &held);
        factor = Factor::select(active, &newer, &factor);
        let mut free_slope = slope;
        for i in 0..NU {
            free_slope[i] = T::select(held[i], T::zero(), slope[i]);
        }
        let step = newer.solve(&free_slope);
        // The longest of a few steps that goes down as far as its length promises.
        let before = value_of(h, g, &change);
        let mut searching = active;
        let mut share = T::one();
        let mut best = change;
        for _ in 0..6 {
            let mut trial = change;
            let mut promise = T::zero();
            for i in 0..NU {
                trial[i] = (change[i].sub_mul(share, step[i])).clamped(lower[i], upper[i]);
                promise = slope[i].mul_add(trial[i] - change[i], promise);
            }
            let down = value_of(h, g, &trial) - before;
            let enough = down.le(T::splat(0.1) * promise);
            best = dense::select(searching & enough, &trial, &best);
            searching = searching & !enough;
            if !searching.any() {
                break;
            }
            share *= T::splat(0.5);
        }
        let mut moved = T::zero();
        let mut size = T::zero();
        for i in 0..NU {
            moved = moved.max((best[i] - change[i]).abs());
            size = size.max(best[i].abs());
        }
        change = dense::select(active, &best, &change);
        // No move within the same set: the end. (The set counts, for the first move may be none.)
        let settled = moved.le(size * T::splat(1e-12));
        active = active & !(settled & as_before) & newer.sound;
    }
    let mut gain = [[T::zero(); NX]; NU];
    let mut columns = *hux;
    for i in 0..NU {
        columns[i] = dense::select(held[i], &[T::zero(); NX], &hux[i]);
    }
    factor.solve_columns(&columns, &mut gain);
    for i in 0..NU {
        for j in 0..NX {
            gain[i][j] = T::select(held[i], T::zero(), -gain[i][j]);
        }
    }
    Policy { change, gain, sound: free_factor.sound }
}

/// One input: the nearest to the free minimum.
#[inline(always)]
fn along_a_line<T: Real, const NX: usize, const NU: usize>(
    h: &[[T; NU]; NU],
    g: &[T; NU],
    hux: &[[T; NX]; NU],
    lower: &[T; NU],
    upper: &[T; NU],
) -> Policy<T, NX, NU> {
    let inverse = T::one() / h[0][0];
    let best = -(g[0] * inverse);
    let free = lower[0].le(best) & best.le(upper[0]);
    let reaction = T::select(free, -inverse, T::zero());
    let mut gain = *hux;
    for j in 0..NX {
        gain[0][j] = hux[0][j] * reaction;
    }
    Policy { change: [best.clamped(lower[0], upper[0]); NU], gain, sound: T::zero().lt(h[0][0]) }
}

#[inline(always)]
fn slope_of<T: Real, const NU: usize>(h: &[[T; NU]; NU], g: &[T; NU], d: &[T; NU]) -> [T; NU] {
    let mut slope = *g;
    for i in 0..NU {
        for j in 0..NU {
            let hij = if j <= i { h[i][j] } else { h[j][i] };
            slope[i] = hij.mul_add(d[j], slope[i]);
        }
    }
    slope
}

#[inline(always)]
fn value_of<T: Real, const NU: usize>(h: &[[T; NU]; NU], g: &[T; NU], d: &[T; NU]) -> T {
    let slope = slope_of(h, g, d);
    let mut value = T::zero();
    for i in 0..NU {
        value = (T::splat(0.5) * d[i]).mul_add(slope[i] + g[i], value);
    }
    value
}

/// Cholesky's factor of a matrix whose held rows and columns are those of the identity.
#[derive(Clone, Copy)]
struct Factor<T: Real, const NU: usize> {
    lower: [[T; NU]; NU],
    /// Reciprocals of the diagonal.
    inverse: [T; NU],
    sound: T::Mask,
}

impl<T: Real, const NU: usize> Factor<T, NU> {
    #[inline(always)]
    fn of(h: &[[T; NU]; NU], held: &[T::Mask; NU]) -> Self {
        let mut lower = *h;
        let mut inverse = [T::zero(); NU];
        let mut sound = T::Mask::splat(true);
        for i in 0..NU {
            for j in 0..=i {
                let mut left =
                    T::select(held[i] | held[j], if i == j { T::one() } else { T::zero() }, h[i][j]);
                for k in 0..j {
                    left = left.sub_mul(lower[i][k], lower[j][k]);
                }
                if i == j {
                    sound = sound & T::zero().lt(left);
                    inverse[i] = T::one() / left.sqrt();
                    lower[i][i] = left * inverse[i];
                } else {
                    lower[i][j] = left * inverse[j];
                }
            }
        }
        Self { lower, inverse, sound }
    }

    #[inline(always)]
    fn select(mask: T::Mask, yes: &Self, no: &Self) -> Self {
        let mut lower = no.lower;
        for i in 0..NU {
            lower[i] = dense::select(mask, &yes.lower[i], &no.lower[i]);
        }
        Self {
            lower,
            inverse: dense::select(mask, &yes.inverse, &no.inverse),
            sound: (mask & yes.sound) | (!mask & no.sound),
        }
    }

    #[inline(always)]
    fn solve(&self, right: &[T; NU]) -> [T; NU] {
        let mut x = *right;
        for i in 0..NU {
            for k in 0..i {
                x[i] = x[i].sub_mul(self.lower[i][k], x[k]);
            }
            x[i] *= self.inverse[i];
        }
        for i in (0..NU).rev() {
            for k in i + 1..NU {
                x[i] = x[i].sub_mul(self.lower[k][i], x[k]);
            }
            x[i] *= self.inverse[i];
        }
        x
    }

    #[inline(always)]
    fn solve_columns<const NX: usize>(&self, right: &[[T; NX]; NU], out: &mut [[T; NX]; NU]) {
        *out = *right;
        for i in 0..NU {
            for k in 0..i {
                for j in 0..NX {
                    out[i][j] = out[i][j].sub_mul(self.lower[i][k], out[k][j]);
                }
            }
            for j in 0..NX {
                out[i][j] *= self.inverse[i];
            }
        }
        for i in (0..NU).rev() {
            for k in i + 1..NU {
                for j in 0..NX {
                    out[i][j] = out[i][j].sub_mul(self.lower[k][i], out[k][j]);
                }
            }
            for j in 0..NX {
                out[i][j] *= self.inverse[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_within_the_limits_is_better(
            root in prop::array::uniform3(prop::array::uniform3(-1.0..1.0f64)),
            g in prop::array::uniform3(-3.0..3.0f64),
            width in 0.01..2.0f64,
            others in prop::collection::vec(prop::array::uniform3(-1.0..1.0f64), 50),
        ) {
            let mut h = [[0.0; 3]; 3];
            for i in 0..3 {
                for j in 0..3 {
                    h[i][j] = (0..3).map(|k| root[k][i] * root[k][j]).sum::<f64>() + if i == j { 0.1 } else { 0.0 };
                }
            }
            let hux = [[1.0], [2.0], [3.0]];
            let (lower, upper) = ([-width; 3], [width, 2.0 * width, 0.5 * width]);
            let policy = solve(&h, &g, &hux, &lower, &upper);
            prop_assert!(policy.sound);
            let slope = slope_of(&h, &g, &policy.change);
            for i in 0..3 {
                let d = policy.change[i];
                prop_assert!(lower[i] <= d && d <= upper[i]);
                if policy.gain[i][0] != 0.0 {
                    prop_assert!(slope[i].abs() < 1e-8, "free but not flat: {:?}", slope);
                } else {
                    let pressed = if d == lower[i] { slope[i] >= 0.0 } else { d == upper[i] && slope[i] <= 0.0 };
                    prop_assert!(pressed, "held but not pressed: {:?} {:?}", d, slope);
                }
            }
            for other in others {
                let trial: [f64; 3] = std::array::from_fn(|i| (other[i] * 2.0 * width).clamp(lower[i], upper[i]));
                prop_assert!(value_of(&h, &g, &trial) >= value_of(&h, &g, &policy.change) - 1e-9);
            }
        }
    }
}
