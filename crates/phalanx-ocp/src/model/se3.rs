//! Rotations and rigid motions, over the lanes: exponentials, logarithms and their derivatives (Barfoot 2017, chapter 7,
//! with products of skew matrices multiplied out).
//!
//! A change of a pose is six numbers in the body's frame, translation first.

use crate::lanes::{Mask, Real};

/// A vector.
pub type Vec3<T> = [T; 3];
/// A matrix, row by row.
pub type Mat3<T> = [[T; 3]; 3];
/// A unit quaternion, w first.
pub type Quat<T> = [T; 4];

/// `a · b`
#[inline(always)]
pub fn dot<T: Real>(a: &Vec3<T>, b: &Vec3<T>) -> T {
    a[2].mul_add(b[2], a[1].mul_add(b[1], a[0] * b[0]))
}

/// `a × b`
#[inline(always)]
pub fn cross<T: Real>(a: &Vec3<T>, b: &Vec3<T>) -> Vec3<T> {
    [(a[1] * b[2]).sub_mul(a[2], b[1]), (a[2] * b[0]).sub_mul(a[0], b[2]), (a[0] * b[1]).sub_mul(a[1], b[0])]
}

/// `a + h b`
#[inline(always)]
pub fn add_scaled<T: Real>(a: &Vec3<T>, h: T, b: &Vec3<T>) -> Vec3<T> {
    [h.mul_add(b[0], a[0]), h.mul_add(b[1], a[1]), h.mul_add(b[2], a[2])]
}

/// The matrix that multiplies by `a ×`.
#[inline(always)]
pub fn hat<T: Real>(a: &Vec3<T>) -> Mat3<T> {
    let zero = T::zero();
    [[zero, -a[2], a[1]], [a[2], zero, -a[0]], [-a[1], a[0], zero]]
}

/// `m x`
#[inline(always)]
pub fn apply<T: Real>(m: &Mat3<T>, x: &Vec3<T>) -> Vec3<T> {
    [dot(&m[0], x), dot(&m[1], x), dot(&m[2], x)]
}

/// `mᵀ x`
#[inline(always)]
pub fn apply_transposed<T: Real>(m: &Mat3<T>, x: &Vec3<T>) -> Vec3<T> {
    let mut y = [T::zero(); 3];
    for i in 0..3 {
        y[i] = m[2][i].mul_add(x[2], m[1][i].mul_add(x[1], m[0][i] * x[0]));
    }
    y
}

/// `a b`
#[inline(always)]
pub fn mul<T: Real>(a: &Mat3<T>, b: &Mat3<T>) -> Mat3<T> {
    let mut m = *a;
    for i in 0..3 {
        for j in 0..3 {
            m[i][j] = a[i][2].mul_add(b[2][j], a[i][1].mul_add(b[1][j], a[i][0] * b[0][j]));
        }
    }
    m
}

/// `one + p hat(a) + q hat(a)²`, of `s = a·a`.
#[inline(always)]
fn bent<T: Real>(p: T, q: T, a: &Vec3<T>, s: T) -> Mat3<T> {
    let mut m = hat(a);
    for i in 0..3 {
        for j in 0..3 {
            m[i][j] = (q * a[i]).mul_add(a[j], p * m[i][j]);
        }
        m[i][i] += T::one().sub_mul(q, s);
    }
    m
}

/// The rotation matrix of a unit quaternion: from the body's frame to the world's.
#[inline(always)]
pub fn matrix<T: Real>(q: &Quat<T>) -> Mat3<T> {
    let [w, x, y, z] = *q;
    let two = T::splat(2.0);
    let (xx, yy, zz) = (x * x, y * y, z * z);
    let one = T::one();
    [
        [one.sub_mul(two, yy + zz), two * (x * y).sub_mul(w, z), two * (x * z + w * y)],
        [two * (x * y + w * z), one.sub_mul(two, xx + zz), two * (y * z).sub_mul(w, x)],
        [two * (x * z).sub_mul(w, y), two * (y * z + w * x), one.sub_mul(two, xx + yy)],
    ]
}

/// `a b`
#[inline(always)]
pub fn quat_mul<T: Real>(a: &Quat<T>, b: &Quat<T>) -> Quat<T> {
    [
        (a[0] * b[0]).sub_mul(a[1], b[1]).sub_mul(a[2], b[2]).sub_mul(a[3], b[3]),
        a[0].mul_add(b[1], a[1] * b[0]) + (a[2] * b[3]).sub_mul(a[3], b[2]),
        a[0].mul_add(b[2], a[2] * b[0]) + (a[3] * b[1]).sub_mul(a[1], b[3]),
        a[0].mul_add(b[3], a[3] * b[0]) + (a[1] * b[2]).sub_mul(a[2], b[1]),
    ]
}

/// `a⁻¹ b` of unit quaternions.
#[inline(always)]
pub fn quat_between<T: Real>(a: &Quat<T>, b: &Quat<T>) -> Quat<T> {
    quat_mul(&[a[0], -a[1], -a[2], -a[3]], b)
}

/// Functions of an angle θ, by `s = θ²`, of which the formulas are made. All are smooth at zero, where their textbook
/// forms are 0/0.
struct Angle<T> {
    /// sin θ / θ
    a: T,
    /// (1 − cos θ) / θ²
    b: T,
    /// (θ − sin θ) / θ³
    c: T,
    /// (θ² + 2 cos θ − 2) / 2θ⁴
    d: T,
    /// (2θ − 3 sin θ + θ cos θ) / 2θ⁵
    e: T,
    /// (2b − a) / θ²
    h: T,
}

/// Terms of the series below, good to 1e-16 for θ ≤ 1.
const TERMS: usize = 9;

/// (j·grows + first) / (2j + n)!
const fn coefficients(n: usize, first: f64, grows: f64) -> [f64; TERMS] {
    let mut all = [0.0; TERMS];
    let mut j = 0;
    while j < TERMS {
        let (mut factorial, mut k) = (1.0, 2);
        while k <= 2 * j + n {
            factorial *= k as f64;
            k += 1;
        }
        all[j] = (j as f64 * grows + first) / factorial;
        j += 1;
    }
    all
}

const COS: [f64; TERMS] = coefficients(0, 1.0, 0.0);
const A: [f64; TERMS] = coefficients(1, 1.0, 0.0);
const B: [f64; TERMS] = coefficients(2, 1.0, 0.0);
const C: [f64; TERMS] = coefficients(3, 1.0, 0.0);
const D: [f64; TERMS] = coefficients(4, 1.0, 0.0);
const E: [f64; TERMS] = coefficients(5, 1.0, 1.0);
const H: [f64; TERMS] = coefficients(4, 2.0, 2.0);

/// Σ cⱼ (−s)ʲ
#[inline(always)]
fn series<T: Real>(s: T, c: &[f64; TERMS]) -> T {
    let mut sum = T::splat(c[TERMS - 1]);
    for j in (0..TERMS - 1).rev() {
        sum = T::splat(c[j]).sub_mul(s, sum);
    }
    sum
}

impl<T: Real> Angle<T> {
    #[inline(always)]
    fn of(s: T) -> Self {
        let small = s.le(T::one());
        let near = Self {
            a: series(s, &A),
            b: series(s, &B),
            c: series(s, &C),
            d: series(s, &D),
            e: series(s, &E),
            h: series(s, &H),
        };
        if small.all() {
            return near;
        }
        let angle = s.sqrt();
        let (sin, cos) = angle.sin_cos();
        let one = T::one();
        let inverse = one / s;
        let a = sin / angle;
        let b = (one - cos) * inverse;
        let far = Self {
            a,
            b,
            c: (one - a) * inverse,
            d: (T::splat(0.5) - b) * inverse,
            e: T::splat(0.5) * (T::splat(2.0) - T::splat(3.0) * a + cos) * inverse * inverse,
            h: (b + b - a) * inverse,
        };
        Self {
            a: T::select(small, near.a, far.a),
            b: T::select(small, near.b, far.b),
            c: T::select(small, near.c, far.c),
            d: T::select(small, near.d, far.d),
            e: T::select(small, near.e, far.e),
            h: T::select(small, near.h, far.h),
        }
    }
}

/// The quaternion of a rotation vector.
#[inline(always)]
pub fn exp3<T: Real>(phi: &Vec3<T>) -> Quat<T> {
    let quarter = T::splat(0.25) * dot(phi, phi);
    let small = quarter.le(T::one());
    let (mut half_sinc, mut cos) = (T::splat(0.5) * series(quarter, &A), series(quarter, &COS));
    if !small.all() {
        let half = quarter.sqrt();
        let (sin, far) = half.sin_cos();
        half_sinc = T::select(small, half_sinc, T::splat(0.5) * (sin / half));
        cos = T::select(small, cos, far);
    }
    [cos, half_sinc * phi[0], half_sinc * phi[1], half_sinc * phi[2]]
}

/// The shorter rotation vector of a unit quaternion.
#[inline(always)]
pub fn log3<T: Real>(q: &Quat<T>) -> Vec3<T> {
    let flip = q[0].lt(T::zero());
    let w = q[0].abs();
    let n = (q[1].mul_add(q[1], q[2].mul_add(q[2], q[3] * q[3]))).sqrt();
    // The half angle, between 0 and π/2: from a polynomial good to 1e-5, and one step of third order.
    let swap = w.lt(n);
    let t = n.min(w) / n.max(w).max(T::splat(1e-100));
    let z = t * t;
    let mut poly = T::splat(-0.011_721_2);
    for c in [0.052_653_32, -0.116_432_87, 0.193_543_46, -0.332_623_47, 0.999_977_26] {
        poly = poly.mul_add(z, T::splat(c));
    }
    let rough = poly * t;
    let rough = T::select(swap, T::splat(std::f64::consts::FRAC_PI_2) - rough, rough);
    let (sin, cos) = rough.sin_cos();
    let norm = (w.mul_add(w, n * n)).sqrt().max(T::splat(1e-100));
    let off = (n * cos).sub_mul(w, sin) / norm;
    let half = off + rough;
    let tiny = n.le(T::splat(1e-9));
    let ratio = T::select(tiny, T::splat(2.0), (half + half) / n);
    let ratio = T::select(flip, -ratio, ratio);
    [ratio * q[1], ratio * q[2], ratio * q[3]]
}

/// A rigid motion from its six numbers: `(R, t)` with R as a quaternion.
#[inline(always)]
pub fn exp6<T: Real>(rho: &Vec3<T>, phi: &Vec3<T>) -> (Quat<T>, Vec3<T>) {
    let s = dot(phi, phi);
    let angle = Angle::of(s);
    (exp3(phi), apply(&bent(angle.b, angle.c, phi, s), rho))
}

/// The six numbers of a rigid motion, as two vectors.
#[inline(always)]
pub fn log6<T: Real>(q: &Quat<T>, t: &Vec3<T>) -> (Vec3<T>, Vec3<T>) {
    let phi = log3(q);
    let s = dot(&phi, &phi);
    let angle = Angle::of(s);
    let g = angle.h / (angle.b + angle.b);
    (apply(&bent(T::splat(-0.5), g, &phi, s), t), phi)
}

/// The mixed block of the right Jacobian of the exponential.
#[inline(always)]
fn mixed<T: Real>(angle: &Angle<T>, rho: &Vec3<T>, phi: &Vec3<T>, s: T) -> Mat3<T> {
    let k = dot(phi, rho);
    let two = T::splat(2.0);
    let by_rho = angle.d.mul_add(s, T::splat(-0.5));
    let by_phi = angle.c.sub_mul(two, angle.d) * k;
    let mut skew = [T::zero(); 3];
    for i in 0..3 {
        skew[i] = by_rho.mul_add(rho[i], by_phi * phi[i]);
    }
    let mut m = hat(&skew);
    let ek = two * angle.e * k;
    for i in 0..3 {
        for j in 0..3 {
            let even = rho[i].mul_add(phi[j], phi[i] * rho[j]);
            m[i][j] += (angle.c * even).sub_mul(ek * phi[i], phi[j]);
        }
        m[i][i] += (ek * s).sub_mul(two * angle.c, k);
    }
    m
}

/// The derivative of a rigid motion by its six numbers: blocks `J` (both diagonal ones) and `Q` (above right).
#[inline(always)]
pub fn exp6_jacobian<T: Real>(rho: &Vec3<T>, phi: &Vec3<T>) -> (Mat3<T>, Mat3<T>) {
    let s = dot(phi, phi);
    let angle = Angle::of(s);
    (bent(-angle.b, angle.c, phi, s), mixed(&angle, rho, phi, s))
}

/// The derivative of the six numbers of a rigid motion by the motion: blocks `J` (both diagonal ones) and `Q` (above
/// right).
#[inline(always)]
pub fn log6_jacobian<T: Real>(rho: &Vec3<T>, phi: &Vec3<T>) -> (Mat3<T>, Mat3<T>) {
    let s = dot(phi, phi);
    let angle = Angle::of(s);
    let inverse = bent(T::splat(0.5), angle.h / (angle.b + angle.b), phi, s);
    let mut q = mul(&mul(&inverse, &mixed(&angle, rho, phi, s)), &inverse);
    for row in &mut q {
        for i in 0..3 {
            row[i] = -row[i];
        }
    }
    (inverse, q)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: &[f64], b: &[f64], within: f64) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() <= within * (1.0 + b.abs()))
    }

    proptest! {
        #[test]
        fn logarithms_undo_exponentials(
            rho in prop::array::uniform3(-3.0..3.0f64),
            phi in prop::array::uniform3(-1.7..1.7f64),
            scale in prop::sample::select(vec![1.0, 1e-3, 1e-8, 0.0]),
        ) {
            let phi = phi.map(|x| x * scale);
            let (q, t) = exp6(&rho, &phi);
            prop_assert!(close(&[q.iter().map(|x| x * x).sum::<f64>()], &[1.0], 1e-14));
            for q in [q, q.map(|x| -x)] {
                let (rho_again, phi_again) = log6(&q, &t);
                prop_assert!(close(&rho_again, &rho, 1e-11), "{:?} {:?}", rho_again, rho);
                prop_assert!(close(&phi_again, &phi, 1e-12), "{:?} {:?}", phi_again, phi);
            }
        }

        #[test]
        fn derivatives_are_those_of_differences(
            rho in prop::array::uniform3(-2.0..2.0f64),
            phi in prop::array::uniform3(-1.7..1.7f64),
        ) {
            let (q0, t0) = exp6(&rho, &phi);
            let (exp_j, exp_q) = exp6_jacobian(&rho, &phi);
            let (log_j, log_q) = log6_jacobian(&rho, &phi);
            let h = 1e-6;
            for j in 0..6 {
                // How the motion changes (in its own frame) by a change of its numbers, and the other way round.
                let along = |h: f64| {
                    let (mut r, mut p) = (rho, phi);
                    if j < 3 { r[j] += h } else { p[j - 3] += h }
                    let (q, t) = exp6(&r, &p);
                    let moved = [t[0] - t0[0], t[1] - t0[1], t[2] - t0[2]];
                    let (rho, phi) = log6(&quat_between(&q0, &q), &apply_transposed(&matrix(&q0), &moved));
                    [rho, phi].concat()
                };
                let back = |h: f64| {
                    let (mut r, mut p) = ([0.0; 3], [0.0; 3]);
                    if j < 3 { r[j] = h } else { p[j - 3] = h }
                    let (q, t) = exp6(&r, &p);
                    let moved = add_scaled(&t0, 1.0, &apply(&matrix(&q0), &t));
                    let (rho, phi) = log6(&quat_mul(&q0, &q), &moved);
                    [rho, phi].concat()
                };
                let check = |f: &dyn Fn(f64) -> Vec<f64>, a: &Mat3<f64>, b: &Mat3<f64>| {
                    let (ahead, behind) = (f(h), f(-h));
                    (0..6).all(|i| {
                        let difference = (ahead[i] - behind[i]) / (2.0 * h);
                        let slope = match (i < 3, j < 3) {
                            (true, true) => a[i][j],
                            (true, false) => b[i][j - 3],
                            (false, true) => 0.0,
                            (false, false) => a[i - 3][j - 3],
                        };
                        (slope - difference).abs() < 1e-7
                    })
                };
                prop_assert!(check(&along, &exp_j, &exp_q), "exponential, along {}", j);
                prop_assert!(check(&back, &log_j, &log_q), "logarithm, along {}", j);
            }
        }
    }
}
