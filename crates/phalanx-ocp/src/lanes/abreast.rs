//! Several numbers side by side as one.

use super::{Job, Mask, Real};
use std::ops::{Add, AddAssign, BitAnd, BitOr, Div, Mul, MulAssign, Neg, Not, Sub, SubAssign};

/// `N` numbers that go side by side as one of `N` times the lanes. A long formula leaves a CPU waiting for its own last
/// result most of the time; of two formulas in step, one goes on while the other waits.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Abreast<T, const N: usize>([T; N]);

impl<T: Real, const N: usize> Default for Abreast<T, N> {
    #[inline(always)]
    fn default() -> Self {
        Self([T::zero(); N])
    }
}

/// Loops, not closures: all of it has to be inlined.
macro_rules! each {
    ($i:ident, $value:expr) => {{
        let mut all = [T::zero(); N];
        for $i in 0..N {
            all[$i] = $value;
        }
        Self(all)
    }};
}

macro_rules! masks {
    ($i:ident, $value:expr) => {{
        let mut all = [T::Mask::splat(false); N];
        for $i in 0..N {
            all[$i] = $value;
        }
        Masks(all)
    }};
}

macro_rules! operators {
    ($($trait:ident $method:ident, $assign:ident $assign_method:ident;)*) => { $(
        impl<T: Real, const N: usize> $trait for Abreast<T, N> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                each!(i, self.0[i].$method(other.0[i]))
            }
        }
        impl<T: Real, const N: usize> $assign for Abreast<T, N> {
            #[inline(always)]
            fn $assign_method(&mut self, other: Self) {
                *self = self.$method(other);
            }
        }
    )* };
}

operators! {
    Add add, AddAssign add_assign;
    Sub sub, SubAssign sub_assign;
    Mul mul, MulAssign mul_assign;
}

impl<T: Real, const N: usize> Div for Abreast<T, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        each!(i, self.0[i] / other.0[i])
    }
}

impl<T: Real, const N: usize> Neg for Abreast<T, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        each!(i, -self.0[i])
    }
}

impl<T: Real, const N: usize> Real for Abreast<T, N> {
    type Mask = Masks<T::Mask, N>;
    const LANES: usize = N * T::LANES;
    const DIGITS: u32 = T::DIGITS;

    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self([T::splat(value); N])
    }
    #[inline(always)]
    fn lane(self, lane: usize) -> f64 {
        self.0[lane / T::LANES].lane(lane % T::LANES)
    }
    #[inline(always)]
    fn with_lane(mut self, lane: usize, value: f64) -> Self {
        let number = &mut self.0[lane / T::LANES];
        *number = number.with_lane(lane % T::LANES, value);
        self
    }
    #[inline(always)]
    fn from_lanes(mut value: impl FnMut(usize) -> f64) -> Self {
        each!(i, T::from_lanes(|lane| value(i * T::LANES + lane)))
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        each!(i, self.0[i].mul_add(a.0[i], b.0[i]))
    }
    #[inline(always)]
    fn sub_mul(self, a: Self, b: Self) -> Self {
        each!(i, self.0[i].sub_mul(a.0[i], b.0[i]))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        each!(i, self.0[i].sqrt())
    }
    #[inline(always)]
    fn abs(self) -> Self {
        each!(i, self.0[i].abs())
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        each!(i, self.0[i].min(other.0[i]))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        each!(i, self.0[i].max(other.0[i]))
    }
    #[inline(always)]
    fn lt(self, other: Self) -> Self::Mask {
        masks!(i, self.0[i].lt(other.0[i]))
    }
    #[inline(always)]
    fn le(self, other: Self) -> Self::Mask {
        masks!(i, self.0[i].le(other.0[i]))
    }
    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        each!(i, T::select(mask.0[i], yes.0[i], no.0[i]))
    }
    #[inline(always)]
    fn round(self) -> Self {
        each!(i, self.0[i].round())
    }
    #[inline(always)]
    fn exp2_whole(self) -> Self {
        each!(i, self.0[i].exp2_whole())
    }
    #[inline(always)]
    fn negated_where_odd(self, whole: Self) -> Self {
        each!(i, self.0[i].negated_where_odd(whole.0[i]))
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        (each!(i, self.0[i].split().0), each!(i, self.0[i].split().1))
    }
    #[inline(always)]
    fn enter<J: Job>(job: J) -> J::Out {
        T::enter(job)
    }
}

/// The truth values of numbers side by side.
#[derive(Clone, Copy, Debug)]
pub struct Masks<M, const N: usize>([M; N]);

macro_rules! each_mask {
    ($i:ident, $value:expr) => {{
        let mut all = [M::splat(false); N];
        for $i in 0..N {
            all[$i] = $value;
        }
        Self(all)
    }};
}

impl<M: Mask, const N: usize> BitAnd for Masks<M, N> {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        each_mask!(i, self.0[i] & other.0[i])
    }
}

impl<M: Mask, const N: usize> BitOr for Masks<M, N> {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        each_mask!(i, self.0[i] | other.0[i])
    }
}

impl<M: Mask, const N: usize> Not for Masks<M, N> {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        each_mask!(i, !self.0[i])
    }
}

impl<M: Mask, const N: usize> Mask for Masks<M, N> {
    const LANES: usize = N * M::LANES;

    #[inline(always)]
    fn splat(value: bool) -> Self {
        Self([M::splat(value); N])
    }
    #[inline(always)]
    fn from_lanes(mut value: impl FnMut(usize) -> bool) -> Self {
        each_mask!(i, M::from_lanes(|lane| value(i * M::LANES + lane)))
    }
    #[inline(always)]
    fn lane(self, lane: usize) -> bool {
        self.0[lane / M::LANES].lane(lane % M::LANES)
    }
    #[inline(always)]
    fn any(self) -> bool {
        let mut any = false;
        for i in 0..N {
            any |= self.0[i].any();
        }
        any
    }
}
