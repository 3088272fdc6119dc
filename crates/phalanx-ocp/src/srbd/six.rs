//! Vectors and matrices of six: what moves a rigid body, and what its plan costs.

use crate::lanes::Real;

/// Three of turning, three of moving.
pub type V6<T> = [T; 6];

/// A matrix, row by row. Of a symmetric one the lower half counts, unless both are said to be there.
pub type M6<T> = [V6<T>; 6];

/// The same code for 0 to 5, as constants: bounds that depend on them cost nothing.
macro_rules! six {
    ($i:ident => $body:block) => {{
        six!(@each $i $body 0 1 2 3 4 5);
    }};
    (@each $i:ident $body:block $($value:literal)*) => {
        $({
            let $i: usize = $value;
            $body
        })*
    };
}
pub(super) use six;

#[inline(always)]
pub fn zero<T: Real>() -> M6<T> {
    [[T::zero(); 6]; 6]
}

#[inline(always)]
pub fn diagonal<T: Real>(entries: &V6<T>) -> M6<T> {
    let mut a = zero();
    for i in 0..6 {
        a[i][i] = entries[i];
    }
    a
}

/// a + A x
#[inline(always)]
pub fn add_product<T: Real>(start: &V6<T>, a: &M6<T>, x: &V6<T>) -> V6<T> {
    let mut out = *start;
    six!(i => {
        six!(j => { out[i] = a[i][j].mul_add(x[j], out[i]); });
    });
    out
}

/// a + Aᵀ x
#[inline(always)]
pub fn add_transposed<T: Real>(start: &V6<T>, a: &M6<T>, x: &V6<T>) -> V6<T> {
    let mut out = *start;
    six!(i => {
        six!(j => { out[j] = a[i][j].mul_add(x[i], out[j]); });
    });
    out
}

/// An entry of a symmetric matrix.
#[inline(always)]
fn entry<T: Real>(a: &M6<T>, i: usize, j: usize) -> T {
    if j <= i { a[i][j] } else { a[j][i] }
}

/// a + x A for a symmetric A.
#[inline(always)]
pub fn row_times_symmetric<T: Real>(start: &V6<T>, x: &V6<T>, a: &M6<T>) -> V6<T> {
    let mut out = *start;
    six!(i => {
        six!(j => { out[j] = x[i].mul_add(entry(a, i, j), out[j]); });
    });
    out
}

/// A = L D Lᵀ: leaves the unit lower triangle L below the diagonal, returns the reciprocals of D. Pivots below the
/// floor, as rounding makes them where a matrix is singular, count as the floor.
#[inline(always)]
fn factorise<T: Real>(a: &mut M6<T>, floor: &V6<T>) -> V6<T> {
    let mut reciprocals = [T::zero(); 6];
    six!(j => {
        let reciprocal = T::one() / a[j][j].max(floor[j]);
        reciprocals[j] = reciprocal;
        let mut column = [T::zero(); 6];
        six!(i => {
            if i > j {
                column[i] = a[i][j];
                a[i][j] *= reciprocal;
            }
        });
        six!(i => {
            six!(m => {
                if m > j && m <= i {
                    a[i][m] = a[i][m].sub_mul(a[i][j], column[m]);
                }
            });
        });
    });
    reciprocals
}

/// (P⁻¹ + S)⁻¹ for symmetric S, regular or not, and symmetric P, regular but for entries that cost nothing: what is
/// left of a quadratic cost P of a velocity that can be changed at a price of S⁻¹.
///
/// With P = L D Lᵀ it is L (D⁻¹ + Lᵀ S L)⁻¹ Lᵀ.
#[inline(always)]
pub fn parallel<T: Real>(p: &M6<T>, s: &M6<T>, out: &mut M6<T>) {
    let mut l = *p;
    let (relative, absolute) = (T::splat(1e-14), T::splat(1e-100));
    let mut floor = [T::zero(); 6];
    six!(i => { floor[i] = p[i][i].mul_add(relative, absolute); });
    let reciprocals = factorise(&mut l, &floor);

    // S L, then D⁻¹ + Lᵀ S L.
    let mut sl = zero();
    six!(i => {
        six!(j => {
            let mut sum = entry(s, i, j);
            six!(m => {
                if m > j {
                    sum = entry(s, i, m).mul_add(l[m][j], sum);
                }
            });
            sl[i][j] = sum;
        });
    });
    let mut t = zero();
    six!(i => {
        six!(j => {
            if j <= i {
                let mut sum = sl[i][j];
                six!(m => {
                    if m > i {
                        sum = l[m][i].mul_add(sl[m][j], sum);
                    }
                });
                t[i][j] = if i == j { sum + reciprocals[i] } else { sum };
            }
        });
    });
    let reciprocals = factorise(&mut t, &[T::zero(); 6]);

    // C Y = Lᵀ, row by row; then Yᵀ E⁻¹ Y.
    let mut y = zero();
    six!(i => {
        let mut row = [T::zero(); 6];
        six!(j => {
            if j >= i {
                row[j] = if i == j { T::one() } else { l[j][i] };
            }
        });
        six!(m => {
            if m < i {
                six!(j => { row[j] = row[j].sub_mul(t[i][m], y[m][j]); });
            }
        });
        y[i] = row;
    });
    six!(m => {
        let mut scaled = [T::zero(); 6];
        six!(j => { scaled[j] = y[m][j] * reciprocals[m]; });
        six!(i => {
            six!(j => {
                if j <= i {
                    let product = y[m][i] * scaled[j];
                    out[i][j] = if m == 0 { product } else { y[m][i].mul_add(scaled[j], out[i][j]) };
                }
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A sum of `rank` products of a vector with itself.
    fn symmetric(numbers: &[f64], rank: usize) -> M6<f64> {
        let mut a = zero();
        for vector in numbers.chunks(6).take(rank) {
            for i in 0..6 {
                for j in 0..6 {
                    a[i][j] += vector[i] * vector[j];
                }
            }
        }
        a
    }

    fn product(a: &M6<f64>, b: &M6<f64>) -> M6<f64> {
        let mut out = zero();
        for i in 0..6 {
            for j in 0..6 {
                for m in 0..6 {
                    out[i][j] += a[i][m] * b[m][j];
                }
            }
        }
        out
    }

    proptest! {
        /// (P⁻¹ + S)⁻¹ (1 + S P) = P, whatever the rank of S, and with rows of P that are 0.
        #[test]
        fn parallel_needs_no_inverses(
            numbers in prop::collection::vec(-1.0..1.0f64, 72),
            counts in prop::array::uniform6(any::<bool>()),
            rank in 0..=6usize,
        ) {
            let (mut p, s) = (symmetric(&numbers[..36], 6), symmetric(&numbers[36..], rank));
            for i in 0..6 {
                p[i][i] += 0.1;
                for j in 0..6 {
                    if !(counts[i] && counts[j]) {
                        p[i][j] = 0.0;
                    }
                }
            }
            let mut out = zero();
            parallel(&p, &s, &mut out);
            for i in 0..6 {
                for j in 0..i {
                    out[j][i] = out[i][j];
                }
            }
            let mut right = product(&s, &p);
            for i in 0..6 {
                right[i][i] += 1.0;
            }
            let back = product(&out, &right);
            for i in 0..6 {
                for j in 0..6 {
                    prop_assert!((back[i][j] - p[i][j]).abs() < 1e-9, "{i} {j}: {} {}", back[i][j], p[i][j]);
                }
            }
        }
    }
}
