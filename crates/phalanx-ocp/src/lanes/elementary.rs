//! Elementary functions, elementwise in every type: the same bits in a lane as alone.

use super::Real;
use std::f64::consts::{FRAC_1_PI, FRAC_2_PI, LOG2_E, SQRT_2};

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
    if T::DIGITS > 24 { by_quarters(angle) } else { by_halves(angle) }
}

/// Of the angle within a quarter turn around a multiple of π/2: right even where sine or cosine are next to 0.
#[inline(always)]
fn by_quarters<T: Real>(angle: T) -> (T, T) {
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
    // An odd number of quarters swaps the two; each half turn changes both signs, and cosine's is half a turn ahead.
    let halves = quarters.mul_add(T::splat(0.5), T::splat(-0.25)).round();
    let odd = T::splat(0.5).lt(quarters.sub_mul(T::splat(2.0), halves));
    let (a, b) = (T::select(odd, cos, sin), T::select(odd, sin, cos));
    (a.negated_where_odd(halves), b.negated_where_odd(quarters - halves))
}

/// Of the angle within a half turn around a multiple of π: right to what 1 can be told from, and faster.
#[inline(always)]
fn by_halves<T: Real>(angle: T) -> (T, T) {
    let halves = (angle * T::splat(FRAC_1_PI)).round();
    let x = HALF_PI.take(halves + halves, angle);
    let z = x * x;
    // Taylor's series to the 13th and 12th power: below 1e-8 for |x| ≤ π/2.
    let s = series(
        z,
        [-1.0 / 6.0, 1.0 / 120.0, -1.0 / 5040.0, 1.0 / 362_880.0, -1.0 / 39_916_800.0, 1.0 / 6_227_020_800.0],
    );
    let c = series(z, [1.0 / 24.0, -1.0 / 720.0, 1.0 / 40_320.0, -1.0 / 3_628_800.0, 1.0 / 479_001_600.0]);
    let sin = x.mul_add(z * s, x);
    let cos = (z * z).mul_add(c, T::one().sub_mul(T::splat(0.5), z));
    (sin.negated_where_odd(halves), cos.negated_where_odd(halves))
}

#[inline(always)]
pub fn exp<T: Real>(x: T) -> T {
    let low = x.lt(T::splat(-80.0));
    let x = x.clamped(T::splat(-80.0), T::splat(80.0));
    let twos = (x * T::splat(LOG2_E)).round();
    let r = LN_2.take(twos, x);
    let tail = first(
        6,
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

#[inline(always)]
pub fn ln<T: Real>(x: T) -> T {
    let (least, greatest) = if T::DIGITS > 24 {
        (f64::MIN_POSITIVE, f64::MAX)
    } else {
        (f32::MIN_POSITIVE.into(), f32::MAX.into())
    };
    let (m, e) = x.clamped(T::splat(least), T::splat(greatest)).split();
    let high = T::splat(SQRT_2).lt(m);
    let m = T::select(high, m * T::splat(0.5), m);
    let e = T::select(high, e + T::one(), e);
    // ln m = 2 artanh s, of which |s| ≤ 0.172.
    let f = m - T::one();
    let s = f / (f + T::splat(2.0));
    let z = s * s;
    let tail = first(
        5,
        z,
        [
            2.0 / 3.0,
            2.0 / 5.0,
            2.0 / 7.0,
            2.0 / 9.0,
            2.0 / 11.0,
            2.0 / 13.0,
            2.0 / 15.0,
            2.0 / 17.0,
            2.0 / 19.0,
            2.0 / 21.0,
        ],
    );
    LN_2.take(-e, (s * z).mul_add(tail, s + s))
}

/// c₀ + c₁ z + c₂ z² + …
#[inline(always)]
fn series<T: Real, const N: usize>(z: T, c: [f64; N]) -> T {
    first(N, z, c)
}

/// Only the first few terms where single precision cannot tell more.
#[inline(always)]
fn first<T: Real, const N: usize>(single: usize, z: T, c: [f64; N]) -> T {
    let terms = if T::DIGITS > 24 { N } else { single };
    let mut sum = T::splat(c[terms - 1]);
    for i in (0..terms - 1).rev() {
        sum = sum.mul_add(z, T::splat(c[i]));
    }
    sum
}
