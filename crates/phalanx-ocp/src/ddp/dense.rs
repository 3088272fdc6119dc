//! Products of small matrices, rows of arrays. The inner loops run along rows, so that a scalar type is vectorised
//! along them, and every element is summed in one order in every type.

use crate::lanes::Real;

/// `a · b`.
#[inline(always)]
pub fn mul<T: Real, const R: usize, const K: usize, const C: usize>(
    a: &[[T; K]; R],
    b: &[[T; C]; K],
) -> [[T; C]; R] {
    let mut product = [[T::zero(); C]; R];
    for i in 0..R {
        for k in 0..K {
            for j in 0..C {
                product[i][j] = a[i][k].mul_add(b[k][j], product[i][j]);
            }
        }
    }
    product
}

/// `sum + aᵀ · b`.
#[inline(always)]
pub fn add_transposed_mul<T: Real, const R: usize, const K: usize, const C: usize>(
    sum: &mut [[T; C]; R],
    a: &[[T; R]; K],
    b: &[[T; C]; K],
) {
    for i in 0..R {
        for k in 0..K {
            for j in 0..C {
                sum[i][j] = a[k][i].mul_add(b[k][j], sum[i][j]);
            }
        }
    }
}

/// The lower triangle of `sum + aᵀ · b`. For one lane all of it: whole rows are what a compiler vectorises.
#[inline(always)]
pub fn add_symmetric_mul<T: Real, const R: usize, const K: usize>(
    sum: &mut [[T; R]; R],
    a: &[[T; R]; K],
    b: &[[T; R]; K],
) {
    if T::LANES == 1 {
        return add_transposed_mul(sum, a, b);
    }
    for i in 0..R {
        for k in 0..K {
            for j in 0..=i {
                sum[i][j] = a[k][i].mul_add(b[k][j], sum[i][j]);
            }
        }
    }
}

/// Makes the upper triangle that of the lower.
#[inline(always)]
pub fn mirror<T: Real, const R: usize>(matrix: &mut [[T; R]; R]) {
    for i in 0..R {
        for j in 0..i {
            matrix[j][i] = matrix[i][j];
        }
    }
}

/// `sum + a · x`.
#[inline(always)]
pub fn add_apply<T: Real, const R: usize, const C: usize>(sum: &mut [T; R], a: &[[T; C]; R], x: &[T; C]) {
    for i in 0..R {
        for j in 0..C {
            sum[i] = a[i][j].mul_add(x[j], sum[i]);
        }
    }
}

/// `sum + aᵀ · x`.
#[inline(always)]
pub fn add_transposed_apply<T: Real, const R: usize, const C: usize>(
    sum: &mut [T; C],
    a: &[[T; C]; R],
    x: &[T; R],
) {
    for i in 0..R {
        for j in 0..C {
            sum[j] = a[i][j].mul_add(x[i], sum[j]);
        }
    }
}

/// `sum + a · b`.
#[inline(always)]
pub fn add_dot<T: Real, const N: usize>(mut sum: T, a: &[T; N], b: &[T; N]) -> T {
    for i in 0..N {
        sum = a[i].mul_add(b[i], sum);
    }
    sum
}

/// `yes` in the lanes where `mask` is true, else `no`.
#[inline(always)]
pub fn select<T: Real, const N: usize>(mask: T::Mask, yes: &[T; N], no: &[T; N]) -> [T; N] {
    let mut chosen = *no;
    for i in 0..N {
        chosen[i] = T::select(mask, yes[i], no[i]);
    }
    chosen
}
