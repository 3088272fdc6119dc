//! Vectors of AVX2 and AVX-512.
//!
//! Soundness: an instruction may only run on a CPU that has it. These types are private to `lanes`; other code gets
//! hold of one only as the `T` of `Visitor::visit`, which `Isa::visit` calls after it has asked the CPU. So whoever
//! has a value of these types, or can call their functions at all, runs where the instructions exist.

use super::{Job, Mask, Real};
use std::{
    arch::x86_64::*,
    fmt,
    ops::{Add, AddAssign, BitAnd, BitOr, Div, Mul, MulAssign, Neg, Not, Sub, SubAssign},
};

/// x86-64-v3, as far as kernels use it.
pub fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// x86-64-v4, as far as kernels use it.
pub fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
}

#[target_feature(enable = "avx2,fma")]
fn run_avx2<J: Job>(job: J) -> J::Out {
    job.run()
}

#[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq")]
fn run_avx512<J: Job>(job: J) -> J::Out {
    job.run()
}

/// Runs a scalar job where fused multiply-add is one instruction, if it is anywhere.
#[inline(always)]
pub fn enter_scalar<J: Job>(job: J) -> J::Out {
    // A scalar type can be named by anybody, so the CPU is asked (one load and a jump).
    if has_avx2() {
        // SAFETY: the CPU has the features, it was just asked.
        unsafe { run_avx2(job) }
    } else {
        job.run()
    }
}

/// SAFETY of every block below: the CPU has the features, or the type could not be named (see the module's text).
macro_rules! vector {
    (
        $(#[$doc:meta])* $name:ident, $mask:ident, $raw:ident, $float:ident, $lanes:literal, $enter:ident,
        $set:ident, $add:ident, $sub:ident, $mul:ident, $div:ident, $fma:ident, $fnma:ident, $sqrt:ident, $min:ident, $max:ident,
        abs: |$x:ident| $abs:expr, neg: |$y:ident| $neg:expr, compare: $compare:ident,
        select: |$m:ident, $yes:ident, $no:ident| $select:expr, exp2: |$z:ident| $exp2:expr,
        bits: $and:ident, $or:ident, $xor:ident, down: |$w:ident| $down:expr, last: |$v:ident| $last:expr
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub struct $name($raw);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.array().fmt(f)
            }
        }

        impl Default for $name {
            #[inline(always)]
            fn default() -> Self {
                Self::splat(0.0)
            }
        }

        impl $name {
            #[inline(always)]
            fn array(self) -> [$float; $lanes] {
                bytes_of_same_size(self.0)
            }
        }

        vector!(@operator $name Add add AddAssign add_assign $add);
        vector!(@operator $name Sub sub SubAssign sub_assign $sub);
        vector!(@operator $name Mul mul MulAssign mul_assign $mul);

        impl Div for $name {
            type Output = Self;
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                // SAFETY: as all of this macro.
                Self(unsafe { $div(self.0, other.0) })
            }
        }

        impl Neg for $name {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                let $y = self.0;
                // SAFETY: as all of this macro.
                Self(unsafe { $neg })
            }
        }

        impl Real for $name {
            type Mask = $mask;
            const LANES: usize = $lanes;
            const DIGITS: u32 = $float::MANTISSA_DIGITS;

            #[inline(always)]
            fn splat(value: f64) -> Self {
                // SAFETY: as all of this macro.
                Self(unsafe { $set(value as $float) })
            }
            #[inline(always)]
            fn lane(self, lane: usize) -> f64 {
                f64::from(self.array()[lane])
            }
            #[inline(always)]
            fn with_lane(self, lane: usize, value: f64) -> Self {
                let mut array = self.array();
                array[lane] = value as $float;
                Self(bytes_of_same_size(array))
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                // SAFETY: as all of this macro.
                Self(unsafe { $fma(self.0, a.0, b.0) })
            }
            #[inline(always)]
            fn sub_mul(self, a: Self, b: Self) -> Self {
                // SAFETY: as all of this macro.
                Self(unsafe { $fnma(a.0, b.0, self.0) })
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                // SAFETY: as all of this macro.
                Self(unsafe { $sqrt(self.0) })
            }
            #[inline(always)]
            fn abs(self) -> Self {
                let $x = self.0;
                // SAFETY: as all of this macro.
                Self(unsafe { $abs })
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                // SAFETY: as all of this macro.
                Self(unsafe { $min(self.0, other.0) })
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // SAFETY: as all of this macro.
                Self(unsafe { $max(self.0, other.0) })
            }
            #[inline(always)]
            fn lt(self, other: Self) -> $mask {
                // SAFETY: as all of this macro.
                $mask(unsafe { $compare::<_CMP_LT_OQ>(self.0, other.0) })
            }
            #[inline(always)]
            fn le(self, other: Self) -> $mask {
                // SAFETY: as all of this macro.
                $mask(unsafe { $compare::<_CMP_LE_OQ>(self.0, other.0) })
            }
            #[inline(always)]
            fn select(mask: $mask, yes: Self, no: Self) -> Self {
                let ($m, $yes, $no) = (mask.0, yes.0, no.0);
                // SAFETY: as all of this macro.
                Self(unsafe { $select })
            }
            #[inline(always)]
            fn round(self) -> Self {
                let magic = Self::splat(1.5 * (1u64 << ($float::MANTISSA_DIGITS - 1)) as f64);
                (self + magic) - magic
            }
            #[inline(always)]
            fn exp2_whole(self) -> Self {
                // The exponent field of 2^n is n + bias; adding a number that leaves no room for a fraction puts
                // the whole part into the lowest bits, from where a shift moves it up.
                let digits = $float::MANTISSA_DIGITS - 1;
                let magic = Self::splat((1u64 << digits) as f64 + f64::from($float::MAX_EXP - 1));
                let $z = (self + magic).0;
                // SAFETY: as all of this macro.
                Self(unsafe { $exp2 })
            }
            #[inline(always)]
            fn negated_where_odd(self, whole: Self) -> Self {
                // As in `round`, the whole part is in the lowest bits; the last one becomes a sign.
                let magic = Self::splat(1.5 * (1u64 << ($float::MANTISSA_DIGITS - 1)) as f64);
                let $v = (whole + magic).0;
                // SAFETY: as all of this macro.
                Self(unsafe { $xor(self.0, $last) })
            }
            #[inline(always)]
            fn split(self) -> (Self, Self) {
                // As `exp2_whole` backwards: a whole number in the lowest bits of a number that has no room for a
                // fraction is added to it.
                let digits = $float::MANTISSA_DIGITS - 1;
                let magic = Self::splat((1u64 << digits) as f64);
                let bias = Self::splat((1u64 << digits) as f64 + f64::from($float::MAX_EXP - 1));
                let mask = Self::splat($float::from_bits((1 << digits) - 1).into());
                let $w = self.0;
                // SAFETY: as all of this macro.
                unsafe {
                    let exponent = Self($or($down, magic.0)) - bias;
                    (Self($or($and(self.0, mask.0), Self::one().0)), exponent)
                }
            }
            #[inline(always)]
            fn enter<J: Job>(job: J) -> J::Out {
                // SAFETY: as all of this macro.
                unsafe { $enter(job) }
            }
        }
    };

    (@operator $name:ident $trait:ident $method:ident $assign:ident $assign_method:ident $intrinsic:ident) => {
        impl $trait for $name {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: as all of this macro.
                Self(unsafe { $intrinsic(self.0, other.0) })
            }
        }
        impl $assign for $name {
            #[inline(always)]
            fn $assign_method(&mut self, other: Self) {
                *self = self.$method(other);
            }
        }
    };
}

/// The same bytes as another type.
#[inline(always)]
fn bytes_of_same_size<A: Copy, B: Copy>(a: A) -> B {
    const { assert!(size_of::<A>() == size_of::<B>()) };
    // SAFETY: the sizes are equal, and this file asks only for vectors and arrays of floats, of which all bits are good.
    unsafe { std::mem::transmute_copy(&a) }
}

vector!(
    /// Four doubles.
    F64x4, M64x4, __m256d, f64, 4, run_avx2,
    _mm256_set1_pd, _mm256_add_pd, _mm256_sub_pd, _mm256_mul_pd, _mm256_div_pd, _mm256_fmadd_pd, _mm256_fnmadd_pd, _mm256_sqrt_pd,
    _mm256_min_pd, _mm256_max_pd,
    abs: |x| _mm256_andnot_pd(_mm256_set1_pd(-0.0), x),
    neg: |x| _mm256_xor_pd(_mm256_set1_pd(-0.0), x),
    compare: _mm256_cmp_pd,
    select: |m, yes, no| _mm256_blendv_pd(no, yes, m),
    exp2: |x| _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(x))),
    bits: _mm256_and_pd, _mm256_or_pd, _mm256_xor_pd,
    down: |x| _mm256_castsi256_pd(_mm256_srli_epi64::<52>(_mm256_castpd_si256(x))),
    last: |x| _mm256_castsi256_pd(_mm256_slli_epi64::<63>(_mm256_castpd_si256(x)))
);
vector!(
    /// Eight doubles.
    F64x8, M8, __m512d, f64, 8, run_avx512,
    _mm512_set1_pd, _mm512_add_pd, _mm512_sub_pd, _mm512_mul_pd, _mm512_div_pd, _mm512_fmadd_pd, _mm512_fnmadd_pd, _mm512_sqrt_pd,
    _mm512_min_pd, _mm512_max_pd,
    abs: |x| _mm512_andnot_pd(_mm512_set1_pd(-0.0), x),
    neg: |x| _mm512_xor_pd(_mm512_set1_pd(-0.0), x),
    compare: _mm512_cmp_pd_mask,
    select: |m, yes, no| _mm512_mask_blend_pd(m, no, yes),
    exp2: |x| _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_castpd_si512(x))),
    bits: _mm512_and_pd, _mm512_or_pd, _mm512_xor_pd,
    down: |x| _mm512_castsi512_pd(_mm512_srli_epi64::<52>(_mm512_castpd_si512(x))),
    last: |x| _mm512_castsi512_pd(_mm512_slli_epi64::<63>(_mm512_castpd_si512(x)))
);
vector!(
    /// Eight singles.
    F32x8, M32x8, __m256, f32, 8, run_avx2,
    _mm256_set1_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps, _mm256_div_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps, _mm256_sqrt_ps,
    _mm256_min_ps, _mm256_max_ps,
    abs: |x| _mm256_andnot_ps(_mm256_set1_ps(-0.0), x),
    neg: |x| _mm256_xor_ps(_mm256_set1_ps(-0.0), x),
    compare: _mm256_cmp_ps,
    select: |m, yes, no| _mm256_blendv_ps(no, yes, m),
    exp2: |x| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(x))),
    bits: _mm256_and_ps, _mm256_or_ps, _mm256_xor_ps,
    down: |x| _mm256_castsi256_ps(_mm256_srli_epi32::<23>(_mm256_castps_si256(x))),
    last: |x| _mm256_castsi256_ps(_mm256_slli_epi32::<31>(_mm256_castps_si256(x)))
);
vector!(
    /// Sixteen singles.
    F32x16, M16, __m512, f32, 16, run_avx512,
    _mm512_set1_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps, _mm512_div_ps, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_sqrt_ps,
    _mm512_min_ps, _mm512_max_ps,
    abs: |x| _mm512_andnot_ps(_mm512_set1_ps(-0.0), x),
    neg: |x| _mm512_xor_ps(_mm512_set1_ps(-0.0), x),
    compare: _mm512_cmp_ps_mask,
    select: |m, yes, no| _mm512_mask_blend_ps(m, no, yes),
    exp2: |x| _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(x))),
    bits: _mm512_and_ps, _mm512_or_ps, _mm512_xor_ps,
    down: |x| _mm512_castsi512_ps(_mm512_srli_epi32::<23>(_mm512_castps_si512(x))),
    last: |x| _mm512_castsi512_ps(_mm512_slli_epi32::<31>(_mm512_castps_si512(x)))
);

/// Masks as AVX2 has them: a vector, of which the sign bits count.
macro_rules! vector_mask {
    ($name:ident, $raw:ident, $bits:ident, $lanes:literal, $and:ident, $or:ident, $xor:ident, $cast:ident, $movemask:ident) => {
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub struct $name($raw);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:0width$b}", self.bits(), width = $lanes)
            }
        }

        impl $name {
            #[inline(always)]
            fn bits(self) -> u32 {
                // SAFETY: as all of the vectors.
                unsafe { $movemask(self.0) as u32 }
            }
        }

        impl BitAnd for $name {
            type Output = Self;
            #[inline(always)]
            fn bitand(self, other: Self) -> Self {
                // SAFETY: as all of the vectors.
                Self(unsafe { $and(self.0, other.0) })
            }
        }
        impl BitOr for $name {
            type Output = Self;
            #[inline(always)]
            fn bitor(self, other: Self) -> Self {
                // SAFETY: as all of the vectors.
                Self(unsafe { $or(self.0, other.0) })
            }
        }
        impl Not for $name {
            type Output = Self;
            #[inline(always)]
            fn not(self) -> Self {
                // SAFETY: as all of the vectors.
                Self(unsafe { $xor(self.0, $cast(_mm256_set1_epi32(-1))) })
            }
        }

        impl Mask for $name {
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(value: bool) -> Self {
                // SAFETY: as all of the vectors.
                Self(unsafe { $cast(_mm256_set1_epi32(-i32::from(value))) })
            }
            #[inline(always)]
            fn from_lanes(mut value: impl FnMut(usize) -> bool) -> Self {
                let mut lanes = [0 as $bits; $lanes];
                for (lane, bits) in lanes.iter_mut().enumerate() {
                    *bits = -<$bits>::from(value(lane));
                }
                Self(bytes_of_same_size(lanes))
            }
            #[inline(always)]
            fn lane(self, lane: usize) -> bool {
                self.bits() >> lane & 1 == 1
            }
            #[inline(always)]
            fn any(self) -> bool {
                self.bits() != 0
            }
        }
    };
}

vector_mask!(
    M64x4,
    __m256d,
    i64,
    4,
    _mm256_and_pd,
    _mm256_or_pd,
    _mm256_xor_pd,
    _mm256_castsi256_pd,
    _mm256_movemask_pd
);
vector_mask!(
    M32x8,
    __m256,
    i32,
    8,
    _mm256_and_ps,
    _mm256_or_ps,
    _mm256_xor_ps,
    _mm256_castsi256_ps,
    _mm256_movemask_ps
);

/// Masks as AVX-512 has them: bits.
macro_rules! bit_mask {
    ($name:ident, $bits:ident) => {
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        pub struct $name($bits);

        impl BitAnd for $name {
            type Output = Self;
            #[inline(always)]
            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }
        impl BitOr for $name {
            type Output = Self;
            #[inline(always)]
            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
        impl Not for $name {
            type Output = Self;
            #[inline(always)]
            fn not(self) -> Self {
                Self(!self.0)
            }
        }
        impl Mask for $name {
            const LANES: usize = $bits::BITS as usize;

            #[inline(always)]
            fn splat(value: bool) -> Self {
                Self(if value { $bits::MAX } else { 0 })
            }
            #[inline(always)]
            fn from_lanes(mut value: impl FnMut(usize) -> bool) -> Self {
                Self((0..$bits::BITS as usize).fold(0, |bits, lane| bits | $bits::from(value(lane)) << lane))
            }
            #[inline(always)]
            fn lane(self, lane: usize) -> bool {
                self.0 >> lane & 1 == 1
            }
            #[inline(always)]
            fn any(self) -> bool {
                self.0 != 0
            }
        }
    };
}

bit_mask!(M8, u8);
bit_mask!(M16, u16);
