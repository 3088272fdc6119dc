//! Numbers of several lanes: an algorithm written once over [`Real`] solves one problem, or one per SIMD lane.
//!
//! A kernel is generic over its number `T: Real`. With a scalar `T` it solves one problem; with a vector `T` it
//! solves [`Real::LANES`] of them at once, for little more than the price of one. Where problems part ways (one has
//! converged, another not) a kernel does not branch but keeps, lane by lane, what is still wanted: [`Real::select`].
//! All operations are elementwise and correctly rounded in every type, so a lane computes bit for bit what the scalar
//! [`Fused`] computes, and no lane depends on what its neighbours hold.
//!
//! Which types a CPU can run is found at run time. A vector type cannot be named outside this module: the only way to
//! one is [`Isa::visit`], which looks at the CPU first. Code runs at full speed only inside [`Real::enter`], which
//! compiles it for the type's instruction set; whatever is called from there must be inlined into it
//! (`#[inline(always)]`), or enter again itself.

mod abreast;
mod elementary;
mod scalar;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions; x86.rs says what makes each sound")]
mod x86;

pub use abreast::{Abreast, Masks};
pub use scalar::Fused;

use std::{
    fmt::Debug,
    ops::{Add, AddAssign, BitAnd, BitOr, Div, Mul, MulAssign, Neg, Not, Sub, SubAssign},
};

/// A number of one or more lanes.
pub trait Real:
    Copy
    + Debug
    + Default
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// A truth value per lane.
    type Mask: Mask;
    /// How many problems at once.
    const LANES: usize;
    /// Binary digits of its precision.
    const DIGITS: u32;

    /// The same value in every lane.
    fn splat(value: f64) -> Self;
    /// Lane number `lane`.
    fn lane(self, lane: usize) -> f64;
    /// With another value in lane number `lane`.
    fn with_lane(self, lane: usize, value: f64) -> Self;
    /// `self · a + b`: rounded once in all types but the plain scalars (see [`Isa::Plain`]).
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Magnitude.
    fn abs(self) -> Self;
    /// The lesser; `other` where either is NaN.
    fn min(self, other: Self) -> Self;
    /// The greater; `other` where either is NaN.
    fn max(self, other: Self) -> Self;
    /// Less than; false for NaN.
    fn lt(self, other: Self) -> Self::Mask;
    /// Less or equal; false for NaN.
    fn le(self, other: Self) -> Self::Mask;
    /// `yes` where `mask` is true, else `no`.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// The nearest whole number, halves to even; for magnitudes below 2²¹.
    fn round(self) -> Self;
    /// 2 to the power of a whole number between −120 and 120.
    fn exp2_whole(self) -> Self;
    /// With the other sign where another number, a whole one of magnitude below 2²¹, is odd.
    fn negated_where_odd(self, whole: Self) -> Self;
    /// Of a positive normal number, `m` and `e`: it is m · 2^e, 1 ≤ m < 2.
    fn split(self) -> (Self, Self);
    /// Runs a job compiled for this type's instruction set.
    fn enter<J: Job>(job: J) -> J::Out;

    /// 0 in every lane.
    #[inline(always)]
    fn zero() -> Self {
        Self::default()
    }

    /// 1 in every lane.
    #[inline(always)]
    fn one() -> Self {
        Self::splat(1.0)
    }

    /// A value per lane.
    #[inline(always)]
    fn from_lanes(mut value: impl FnMut(usize) -> f64) -> Self {
        let mut all = Self::zero();
        for lane in 0..Self::LANES {
            all = all.with_lane(lane, value(lane));
        }
        all
    }

    /// `self − a · b`, rounded as [`Real::mul_add`].
    #[inline(always)]
    fn sub_mul(self, a: Self, b: Self) -> Self {
        (-a).mul_add(b, self)
    }

    /// Between two bounds; `lower` where `self` is NaN.
    #[inline(always)]
    fn clamped(self, lower: Self, upper: Self) -> Self {
        self.max(lower).min(upper)
    }

    /// Neither NaN nor infinite?
    #[inline(always)]
    fn is_finite(self) -> Self::Mask {
        // Only for finite numbers is the product with 0 no NaN.
        (self * Self::zero()).le(Self::zero())
    }

    /// Sine and cosine, to about 2 units in the last place (in single precision: of 1) for angles below 10⁵ (in single
    /// precision 10²); 0 and 1 beyond 10⁵.
    #[inline(always)]
    fn sin_cos(self) -> (Self, Self) {
        elementary::sin_cos(self)
    }

    /// Exponential; 0 below −80, that of 80 above.
    #[inline(always)]
    fn exp(self) -> Self {
        elementary::exp(self)
    }

    /// Natural logarithm of a positive normal number, to about 2 units in the last place; for what is smaller, negative
    /// or NaN that of the least one, for infinity that of the greatest.
    #[inline(always)]
    fn ln(self) -> Self {
        elementary::ln(self)
    }
}

/// A truth value per lane.
pub trait Mask: Copy + Debug + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self> {
    /// How many problems at once.
    const LANES: usize;

    /// True in every lane, or in none.
    fn splat(value: bool) -> Self;
    /// A truth value per lane.
    fn from_lanes(value: impl FnMut(usize) -> bool) -> Self;
    /// Lane number `lane`.
    fn lane(self, lane: usize) -> bool;
    /// True in some lane?
    fn any(self) -> bool;
    /// True in all lanes?
    #[inline(always)]
    fn all(self) -> bool {
        !(!self).any()
    }
}

/// Work to be compiled for an instruction set. Put `#[inline(always)]` on `run`.
pub trait Job {
    /// What comes of it.
    type Out;
    /// Does it.
    fn run(self) -> Self::Out;
}

/// Something to be done with the number type of an instruction set.
pub trait Visitor {
    /// What comes of it.
    type Out;
    /// Does it.
    fn visit<T: Real>(self) -> Self::Out;
}

/// What a CPU can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Scalars without fused multiply-add: every CPU.
    Plain,
    /// Scalars with it (x86-64-v3).
    Fused,
    /// Vectors of 256 bits: 4 lanes in double, 8 in single precision.
    Avx2,
    /// Vectors of 512 bits: 8 lanes in double, 16 in single precision.
    Avx512,
}

/// More lanes than this CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lanes is {lanes}, which this CPU does not have; its widest is {}; give 0 for what is best", Isa::widest().lanes())]
pub struct NoSuchLanes {
    /// As asked for.
    pub lanes: usize,
}

impl Isa {
    /// All that [`Isa::of`] may be asked for; not every CPU has them.
    pub const CHOICES: [usize; 4] = [0, 1, 4, 8];

    /// All that this CPU can run, narrowest first.
    pub fn available() -> impl Iterator<Item = Isa> {
        [Self::Plain, Self::Fused, Self::Avx2, Self::Avx512].into_iter().filter(|isa| isa.is_available())
    }

    /// The best for one problem.
    pub fn scalar() -> Self {
        if Self::Fused.is_available() { Self::Fused } else { Self::Plain }
    }

    /// The best for many problems.
    pub fn widest() -> Self {
        Self::available().last().unwrap_or(Self::Plain)
    }

    /// As users choose it for so many problems: by its lanes, or 0 for what is best.
    pub fn of(lanes: usize, problems: usize) -> Result<Self, NoSuchLanes> {
        match lanes {
            0 if problems > 1 => Ok(Self::widest()),
            0 | 1 => Ok(Self::scalar()),
            lanes => Self::available().find(|isa| isa.lanes() == lanes).ok_or(NoSuchLanes { lanes }),
        }
    }

    /// Can this CPU run it?
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Self::Plain => true,
            Self::Fused | Self::Avx2 => x86::has_avx2(),
            Self::Avx512 => x86::has_avx512(),
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Self::Plain;
    }

    /// Lanes in double precision.
    pub fn lanes(self) -> usize {
        match self {
            Self::Plain | Self::Fused => 1,
            Self::Avx2 => 4,
            Self::Avx512 => 8,
        }
    }

    /// Visits with the type of double precision. Panics where the CPU cannot run it.
    pub fn visit<V: Visitor>(self, visitor: V) -> V::Out {
        assert!(self.is_available(), "this CPU cannot run {self:?}");
        match self {
            Self::Plain => visitor.visit::<f64>(),
            #[cfg(target_arch = "x86_64")]
            Self::Fused => visitor.visit::<Fused<f64>>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => visitor.visit::<x86::F64x4>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => visitor.visit::<x86::F64x8>(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("checked above"),
        }
    }

    /// As [`Isa::visit`], in single precision.
    pub fn visit_single<V: Visitor>(self, visitor: V) -> V::Out {
        assert!(self.is_available(), "this CPU cannot run {self:?}");
        match self {
            Self::Plain => visitor.visit::<f32>(),
            #[cfg(target_arch = "x86_64")]
            Self::Fused => visitor.visit::<Fused<f32>>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => visitor.visit::<x86::F32x8>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => visitor.visit::<x86::F32x16>(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("checked above"),
        }
    }
}

#[cfg(test)]
mod tests;
