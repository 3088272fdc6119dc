//! What dynamics compute with.

use crate::lanes::Real;
use std::{
    fmt::Debug,
    ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign},
};

/// A number that dynamics can be written over: a [`Real`], or a [`Dual`] that carries derivatives along.
pub trait Number:
    Copy
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
{
    /// A constant.
    fn constant(value: f64) -> Self;
    /// `self · a + b`.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Sine and cosine.
    fn sin_cos(self) -> (Self, Self);
}

impl<T: Real> Number for T {
    #[inline(always)]
    fn constant(value: f64) -> Self {
        T::splat(value)
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Real::mul_add(self, a, b)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Real::sqrt(self)
    }
    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        Real::sin_cos(self)
    }
}

/// A value and its slopes along `N` directions (forward differentiation).
#[derive(Clone, Copy, Debug)]
pub struct Dual<T, const N: usize> {
    /// The value.
    pub value: T,
    /// Its derivative along each direction.
    pub slope: [T; N],
}

impl<T: Real, const N: usize> Dual<T, N> {
    /// A number that does not depend on any direction.
    #[inline(always)]
    pub fn constant_of(value: T) -> Self {
        Self { value, slope: [T::zero(); N] }
    }

    /// A function of this number that has this value and, here, this derivative.
    #[inline(always)]
    fn chained(self, value: T, derivative: T) -> Self {
        Self { value, slope: self.slope.map(|s| s * derivative) }
    }

    #[inline(always)]
    fn with(self, other: Self, value: T, slope: impl Fn(T, T) -> T) -> Self {
        let mut slopes = self.slope;
        for i in 0..N {
            slopes[i] = slope(self.slope[i], other.slope[i]);
        }
        Self { value, slope: slopes }
    }
}

impl<T: Real, const N: usize> Number for Dual<T, N> {
    #[inline(always)]
    fn constant(value: f64) -> Self {
        Self::constant_of(T::splat(value))
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        let mut slope = b.slope;
        for i in 0..N {
            slope[i] = self.slope[i].mul_add(a.value, self.value.mul_add(a.slope[i], b.slope[i]));
        }
        Self { value: Real::mul_add(self.value, a.value, b.value), slope }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let root = Real::sqrt(self.value);
        self.chained(root, T::splat(0.5) / root)
    }
    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        let (sin, cos) = Real::sin_cos(self.value);
        (self.chained(sin, cos), self.chained(cos, -sin))
    }
}

impl<T: Real, const N: usize> Add for Dual<T, N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, self.value + other.value, |a, b| a + b)
    }
}

impl<T: Real, const N: usize> Sub for Dual<T, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(other, self.value - other.value, |a, b| a - b)
    }
}

impl<T: Real, const N: usize> Mul for Dual<T, N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let (x, y) = (self.value, other.value);
        self.with(other, x * y, |a, b| Real::mul_add(a, y, x * b))
    }
}

impl<T: Real, const N: usize> Div for Dual<T, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let inverse = T::one() / other.value;
        let ratio = self.value / other.value;
        self.with(other, ratio, |a, b| a.sub_mul(ratio, b) * inverse)
    }
}

impl<T: Real, const N: usize> Neg for Dual<T, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { value: -self.value, slope: self.slope.map(|s| -s) }
    }
}

impl<T: Real, const N: usize> AddAssign for Dual<T, N> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<T: Real, const N: usize> SubAssign for Dual<T, N> {
    #[inline(always)]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}
