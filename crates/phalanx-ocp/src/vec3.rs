//! Vectors, matrices and rotations of space, as plain arrays.
//!
//! Matrices are rows. Quaternions are w, x, y, z, of unit length, and turn the moving frame's vectors into the fixed
//! one's; so do the matrices made of them.

/// A vector.
pub type V3 = [f64; 3];

/// A matrix, row by row.
pub type M3 = [[f64; 3]; 3];

/// A quaternion w, x, y, z.
pub type Quat = [f64; 4];

/// No turn.
pub const NO_TURN: Quat = [1.0, 0.0, 0.0, 0.0];

/// The identity matrix.
pub const IDENTITY: M3 = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// a + b
#[inline]
pub fn add(a: V3, b: V3) -> V3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// a − b
#[inline]
pub fn sub(a: V3, b: V3) -> V3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// s a
#[inline]
pub fn scale(s: f64, a: V3) -> V3 {
    [s * a[0], s * a[1], s * a[2]]
}

/// a · b
#[inline]
pub fn dot(a: V3, b: V3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// a × b
#[inline]
pub fn cross(a: V3, b: V3) -> V3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The length of a.
#[inline]
pub fn norm(a: V3) -> f64 {
    dot(a, a).sqrt()
}

/// The matrix that takes b to a × b.
#[inline]
pub fn skew(a: V3) -> M3 {
    [[0.0, -a[2], a[1]], [a[2], 0.0, -a[0]], [-a[1], a[0], 0.0]]
}

/// a bᵀ
#[inline]
pub fn outer(a: V3, b: V3) -> M3 {
    a.map(|part| scale(part, b))
}

/// m v
#[inline]
pub fn mul(m: &M3, v: V3) -> V3 {
    [dot(m[0], v), dot(m[1], v), dot(m[2], v)]
}

/// mᵀ v
#[inline]
pub fn mul_transposed(m: &M3, v: V3) -> V3 {
    std::array::from_fn(|j| m[0][j] * v[0] + m[1][j] * v[1] + m[2][j] * v[2])
}

/// a b
#[inline]
pub fn matmul(a: &M3, b: &M3) -> M3 {
    a.map(|row| mul_transposed(b, row))
}

/// mᵀ
#[inline]
pub fn transposed(m: &M3) -> M3 {
    std::array::from_fn(|i| [m[0][i], m[1][i], m[2][i]])
}

/// a + b
#[inline]
pub fn madd(a: &M3, b: &M3) -> M3 {
    std::array::from_fn(|i| add(a[i], b[i]))
}

/// s a
#[inline]
pub fn mscale(s: f64, a: &M3) -> M3 {
    a.map(|row| scale(s, row))
}

/// x with m x = b; `None` where m cannot be inverted.
pub fn solve(m: &M3, b: V3) -> Option<V3> {
    let columns = transposed(m);
    let across =
        [cross(columns[1], columns[2]), cross(columns[2], columns[0]), cross(columns[0], columns[1])];
    let volume = dot(columns[0], across[0]);
    // Against the volume that columns of these lengths would span at right angles.
    let bound: f64 = columns.iter().map(|&column| norm(column)).product();
    (volume.abs() > 1e-14 * bound).then(|| across.map(|row| dot(row, b) / volume))
}

/// The turn b, then a.
#[inline]
pub fn quat_mul(a: Quat, b: Quat) -> Quat {
    let (w, x, y, z) = (a[0], a[1], a[2], a[3]);
    [
        w * b[0] - x * b[1] - y * b[2] - z * b[3],
        w * b[1] + x * b[0] + y * b[3] - z * b[2],
        w * b[2] - x * b[3] + y * b[0] + z * b[1],
        w * b[3] + x * b[2] - y * b[1] + z * b[0],
    ]
}

/// The turn back.
#[inline]
pub fn quat_conj(q: Quat) -> Quat {
    [q[0], -q[1], -q[2], -q[3]]
}

/// q at unit length; no turn where q has no direction.
pub fn quat_unit(q: Quat) -> Quat {
    let norm = q.iter().map(|part| part * part).sum::<f64>().sqrt();
    if norm.is_finite() && norm > 1e-12 { q.map(|part| part / norm) } else { NO_TURN }
}

/// The matrix of a turn.
pub fn mat_of_quat([w, x, y, z]: Quat) -> M3 {
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

/// The turn of a rotation matrix, with w ≥ 0.
pub fn quat_of_mat(m: &M3) -> Quat {
    // Four ways to divide by a part of it; the one that divides by the greatest is accurate.
    let ways = [
        [1.0 + m[0][0] + m[1][1] + m[2][2], m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]],
        [m[2][1] - m[1][2], 1.0 + m[0][0] - m[1][1] - m[2][2], m[0][1] + m[1][0], m[0][2] + m[2][0]],
        [m[0][2] - m[2][0], m[0][1] + m[1][0], 1.0 - m[0][0] + m[1][1] - m[2][2], m[1][2] + m[2][1]],
        [m[1][0] - m[0][1], m[0][2] + m[2][0], m[1][2] + m[2][1], 1.0 - m[0][0] - m[1][1] + m[2][2]],
    ];
    let best = (0..4).max_by(|&a, &b| ways[a][a].total_cmp(&ways[b][b])).unwrap_or(0);
    let quat = quat_unit(ways[best]);
    if quat[0] < 0.0 { quat.map(|part| -part) } else { quat }
}

/// A vector of the moving frame, in the fixed one.
#[inline]
pub fn rotate(q: Quat, v: V3) -> V3 {
    // v + 2 w (u × v) + 2 u × (u × v), u being the quaternion's vector.
    let u = [q[1], q[2], q[3]];
    let twice = scale(2.0, cross(u, v));
    add(add(v, scale(q[0], twice)), cross(u, twice))
}

/// A vector of the fixed frame, in the moving one.
#[inline]
pub fn unrotate(q: Quat, v: V3) -> V3 {
    rotate(quat_conj(q), v)
}

/// The turn by |r| rad about r.
pub fn quat_exp(r: V3) -> Quat {
    let half = 0.5 * norm(r);
    // sin(x)/x, whose series is exact to rounding where dividing is not.
    let sinc = if half < 1e-4 { 1.0 - half * half / 6.0 } else { half.sin() / half };
    let [x, y, z] = scale(0.5 * sinc, r);
    [half.cos(), x, y, z]
}

/// The least r, with |r| ≤ π, whose [`quat_exp`] is q.
pub fn quat_log(q: Quat) -> V3 {
    let q = if q[0] < 0.0 { q.map(|part| -part) } else { q };
    let u = [q[1], q[2], q[3]];
    let sin = norm(u);
    let factor = if sin < 1e-7 { 2.0 / q[0] } else { 2.0 * sin.atan2(q[0]) / sin };
    scale(factor, u)
}

/// Roll, pitch and yaw: turns about the fixed axes x, y, z in turn, pitch within ±π/2.
pub fn rpy_of_quat([w, x, y, z]: Quat) -> V3 {
    // The first column of the turn's matrix: where x points.
    let ahead = [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)];
    let level = ahead[0].hypot(ahead[1]);
    let pitch = (-ahead[2]).atan2(level);
    if level < 1e-9 {
        // Straight up or down, roll and yaw turn about the same axis: all of it is taken as yaw.
        let yaw = -2.0 * pitch.signum() * x.atan2(w);
        return [0.0, pitch, yaw.sin().atan2(yaw.cos())];
    }
    let roll = (2.0 * (w * x + y * z)).atan2(1.0 - 2.0 * (x * x + y * y));
    [roll, pitch, ahead[1].atan2(ahead[0])]
}

/// The turn by roll, pitch and yaw about the fixed axes x, y, z in turn.
pub fn quat_of_rpy([roll, pitch, yaw]: V3) -> Quat {
    let turns = [[roll, 0.0, 0.0], [0.0, pitch, 0.0], [0.0, 0.0, yaw]].map(quat_exp);
    quat_mul(turns[2], quat_mul(turns[1], turns[0]))
}

/// The turn about z alone.
pub fn quat_of_yaw(yaw: f64) -> Quat {
    quat_exp([0.0, 0.0, yaw])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::{FRAC_PI_2, PI};

    fn near<const K: usize>(a: [f64; K], b: [f64; K]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    fn same_turn(a: Quat, b: Quat) -> bool {
        near(a, b) || near(a.map(|part| -part), b)
    }

    fn vector() -> impl Strategy<Value = V3> {
        prop::array::uniform3(-3.0..3.0f64)
    }

    #[test]
    fn straight_up_and_down_keep_the_turn() {
        for pitch in [FRAC_PI_2, -FRAC_PI_2] {
            for (roll, yaw) in [(0.0, 0.4), (0.3, -0.2), (3.0, 2.0)] {
                let quat = quat_of_rpy([roll, pitch, yaw]);
                let rpy = rpy_of_quat(quat);
                assert!(same_turn(quat_of_rpy(rpy), quat), "{rpy:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn turns_agree_in_every_dress(r in vector(), s in vector(), v in vector()) {
            let (q, p) = (quat_exp(r), quat_exp(s));
            let m = mat_of_quat(q);
            prop_assert!(near(mul(&m, v), rotate(q, v)));
            prop_assert!(near(unrotate(q, rotate(q, v)), v));
            prop_assert!(near(mul_transposed(&m, rotate(q, v)), v));
            prop_assert!(near(rotate(quat_mul(q, p), v), rotate(q, rotate(p, v))));
            prop_assert!(same_turn(quat_of_mat(&m), q));
            prop_assert!(same_turn(quat_exp(quat_log(q)), q));
            prop_assert!(norm(quat_log(q)) <= PI + 1e-9);
            prop_assert!(same_turn(quat_of_rpy(rpy_of_quat(q)), q));
        }

        #[test]
        fn rpy_come_back(roll in -3.1..3.1f64, pitch in -1.5..1.5f64, yaw in -3.1..3.1f64) {
            prop_assert!(near(rpy_of_quat(quat_of_rpy([roll, pitch, yaw])), [roll, pitch, yaw]));
        }

        #[test]
        fn matrices_multiply_and_solve(
            a in prop::array::uniform3(vector()),
            b in prop::array::uniform3(vector()),
            v in vector(),
        ) {
            prop_assert!(near(mul(&matmul(&a, &b), v), mul(&a, mul(&b, v))));
            prop_assert!(near(mul(&skew(v), b[0]), cross(v, b[0])));
            if let Some(x) = solve(&a, v) {
                let back = mul(&a, x);
                prop_assert!(norm(sub(back, v)) <= 1e-8 * (1.0 + norm(x)));
            }
            let flat = [a[0], a[1], add(a[0], a[1])];
            prop_assert!(solve(&flat, v).is_none_or(|x| norm(x) > 1e3));
        }
    }
}
