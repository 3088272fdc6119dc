//! Elementary functions, elementwise in every type: the same bits in a lane as alone.

use super::Real;
use std::f64::consts::{FRAC_2_PI, LOG2_E};

/// A constant in parts, all but the last with so many trailing zeros that small whole numbers times them are exact:
/// in double, and in single precision.
struct Parts<const N: usize>([f64; N], [f64; N]);

impl<const N: usize> Parts<N> {
    /// `x` less a whole number of this constant.
    #[inline(always)]
    fn take<T: Real>(&self, times: T, x: T) -> T {
        let parts = if T::DIGITS > 24 { &self.0 } else { &self.1 };
        parts.iter().fold(x, |x, part| x.sub_mul(times, T::splat(*part)))
    }
}

const HALF_PI: Parts<3> = Parts(
    [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_795_950_7e-21],
    [1.570_312_5, 4.837_512_969_970_703e-4, 7.549_789_954_891_88e-8],
);
const LN_2: Parts<2> =
    Parts([0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10], [0.693_359_375, -2.121_944_400_546_905e-4]);

#[inline(always)]
pub fn sin_cos<T: Real>(angle: T) -> (T, T) {
    // Beyond, the reduction is no longer exact; the angle itself has lost its meaning long before.
    let far = T::splat(1e5);
    let angle = T::select(angle.abs().le(far), angle, T::zero());
    let quarters = (angle * T::splat(FRAC_2_PI)).round();
    let x = HALF_PI.take(quarters, angle);
    let z = x * x;
    // Taylor's series to the 17th and 16th power: below 1e-17 relative for |x| ≤ π/4.
    let s = series(
        z,
        [
            -1.0 / 6.0,
            1.0 / 120.0,
            -1.0 / 5040.0,
            1.0 / 362_880.0,
            -1.0 / 39_916_800.0,
            1.0 / 6_227_020_800.0,
            -1.0 / 1_307_674_368_000.0,
            1.0 / 355_687_428_096_000.0,
        ],
    );
    let c = series(
        z,
        [
            1.0 / 24.0,
            -1.0 / 720.0,
            1.0 / 40_320.0,
            -1.0 / 3_628_800.0,
            1.0 / 479_001_600.0,
            -1.0 / 87_178_291_200.0,
            1.0 / 20_922_789_888_000.0,
        ],
    );
    let sin = x.mul_add(z * s, x);
    let cos = (z * z).mul_add(c, T::one().sub_mul(T::splat(0.5), z));
    // Which quarter, 0 to 3, without whole-number types.
    let turn = quarters - T::splat(4.0) * (quarters * T::splat(0.25) - T::splat(0.375)).round();
    let odd =
        (turn - T::splat(2.0)).abs().lt(T::splat(1.5)) & !(turn - T::splat(2.0)).abs().lt(T::splat(0.5));
    let (a, b) = (T::select(odd, cos, sin), T::select(odd, sin, cos));
    let sin_negative = T::splat(1.5).lt(turn);
    let cos_negative = T::splat(0.5).lt(turn) & turn.lt(T::splat(2.5));
    (T::select(sin_negative, -a, a), T::select(cos_negative, -b, b))
}

#[inline(always)]
pub fn exp<T: Real>(x: T) -> T {
    let low = x.lt(T::splat(-80.0));
    let x = x.clamped(T::splat(-80.0), T::splat(80.0));
    let twos = (x * T::splat(LOG2_E)).round();
    let r = LN_2.take(twos, x);
    let tail = series(
        r,
        [
            0.5,
            1.0 / 6.0,
            1.0 / 24.0,
            1.0 / 120.0,
            1.0 / 720.0,
            1.0 / 5040.0,
            1.0 / 40_320.0,
            1.0 / 362_880.0,
            1.0 / 3_628_800.0,
            1.0 / 39_916_800.0,
            1.0 / 479_001_600.0,
        ],
    );
    let y = (r * r).mul_add(tail, T::one() + r);
    T::select(low, T::zero(), y * twos.exp2_whole())
}

/// c₀ + c₁ z + c₂ z² + …
#[inline(always)]
fn series<T: Real, const N: usize>(z: T, c: [f64; N]) -> T {
    let mut sum = T::splat(c[N - 1]);
    for i in (0..N - 1).rev() {
        sum = sum.mul_add(z, T::splat(c[i]));
    }
    sum
}
