//! One lane: plain floats, and floats whose multiply-add is rounded once.

use super::{Job, Mask, Real};
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

impl Mask for bool {
    const LANES: usize = 1;

    #[inline(always)]
    fn splat(value: bool) -> Self {
        value
    }
    #[inline(always)]
    fn from_lanes(mut value: impl FnMut(usize) -> bool) -> Self {
        value(0)
    }
    #[inline(always)]
    fn lane(self, _lane: usize) -> bool {
        self
    }
    #[inline(always)]
    fn any(self) -> bool {
        self
    }
}

/// A float whose [`Real::mul_add`] is rounded once: what one lane of a vector computes. Entering its code needs a CPU
/// with fused multiply-add to be fast; it is right on any.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Fused<F>(pub F);

macro_rules! operators {
    ($($trait:ident $method:ident $assign:ident $assign_method:ident;)*) => { $(
        impl<F: $trait<Output = F>> $trait for Fused<F> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0))
            }
        }
        impl<F: $assign> $assign for Fused<F> {
            #[inline(always)]
            fn $assign_method(&mut self, other: Self) {
                self.0.$assign_method(other.0);
            }
        }
    )* };
}

operators! {
    Add add AddAssign add_assign;
    Sub sub SubAssign sub_assign;
    Mul mul MulAssign mul_assign;
}

impl<F: Div<Output = F>> Div for Fused<F> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(self.0 / other.0)
    }
}

impl<F: Neg<Output = F>> Neg for Fused<F> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

/// What is common to both kinds of both precisions: `$get` takes the float out of the type, `$of` puts one in.
macro_rules! real {
    ($type:ty, $float:ident, $bits:ident, $get:expr, $of:expr, $mul_add:expr, $enter:expr) => {
        impl Real for $type {
            type Mask = bool;
            const LANES: usize = 1;
            const DIGITS: u32 = $float::MANTISSA_DIGITS;

            #[inline(always)]
            fn splat(value: f64) -> Self {
                $of(value as $float)
            }
            #[inline(always)]
            fn lane(self, _lane: usize) -> f64 {
                f64::from($get(self))
            }
            #[inline(always)]
            fn with_lane(self, _lane: usize, value: f64) -> Self {
                $of(value as $float)
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                $of($mul_add($get(self), $get(a), $get(b)))
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $of($get(self).sqrt())
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $of($get(self).abs())
            }
            // Not the methods of the same name, which differ from the vector instructions for NaN and signed zeros.
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if $get(self) < $get(other) { self } else { other }
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if $get(self) > $get(other) { self } else { other }
            }
            #[inline(always)]
            fn lt(self, other: Self) -> bool {
                $get(self) < $get(other)
            }
            #[inline(always)]
            fn le(self, other: Self) -> bool {
                $get(self) <= $get(other)
            }
            #[inline(always)]
            fn select(mask: bool, yes: Self, no: Self) -> Self {
                if mask { yes } else { no }
            }
            #[inline(always)]
            fn round(self) -> Self {
                // Adding 1.5 · 2^(digits) leaves no room for a fraction.
                let magic: $float = 1.5 * (1u64 << ($float::MANTISSA_DIGITS - 1)) as $float;
                $of(($get(self) + magic) - magic)
            }
            #[inline(always)]
            fn exp2_whole(self) -> Self {
                let exponent = ($get(self) as i32 + $float::MAX_EXP - 1) as $bits;
                $of($float::from_bits(exponent << ($float::MANTISSA_DIGITS - 1)))
            }
            #[inline(always)]
            fn negated_where_odd(self, whole: Self) -> Self {
                let magic: $float = 1.5 * (1u64 << ($float::MANTISSA_DIGITS - 1)) as $float;
                let odd = ($get(whole) + magic).to_bits() << ($bits::BITS - 1);
                $of($float::from_bits($get(self).to_bits() ^ odd))
            }
            #[inline(always)]
            fn split(self) -> (Self, Self) {
                let (bits, digits) = ($get(self).to_bits(), $float::MANTISSA_DIGITS - 1);
                let mantissa = bits & ((1 << digits) - 1) | (1.0 as $float).to_bits();
                let exponent = (bits >> digits) as $float - ($float::MAX_EXP - 1) as $float;
                ($of($float::from_bits(mantissa)), $of(exponent))
            }
            #[inline(always)]
            fn enter<J: Job>(job: J) -> J::Out {
                $enter(job)
            }
        }
    };
}

real!(f64, f64, u64, |x: f64| x, |x: f64| x, |x: f64, a: f64, b: f64| x * a + b, |job: J| job.run());
real!(f32, f32, u32, |x: f32| x, |x: f32| x, |x: f32, a: f32, b: f32| x * a + b, |job: J| job.run());
real!(Fused<f64>, f64, u64, |x: Self| x.0, |x: f64| Self(x), f64::mul_add, enter_fused);
real!(Fused<f32>, f32, u32, |x: Self| x.0, |x: f32| Self(x), f32::mul_add, enter_fused);

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn enter_fused<J: Job>(job: J) -> J::Out {
    super::x86::enter_scalar(job)
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn enter_fused<J: Job>(job: J) -> J::Out {
    job.run()
}
