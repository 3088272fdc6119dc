//! A rigid body that flies on the thrusts of its rotors.

use super::se3;
use crate::{ddp::Motion, lanes::Real};

/// Gravity, m/s².
const G: f64 = 9.81;

/// A rigid body with rotors fixed to it. The state is its position in the world (m), its attitude (a unit quaternion, w
/// first), and its linear (m/s) and angular (rad/s) velocity in its own frame, whose origin is the centre of mass. The
/// inputs are the rotors' thrusts (N). It changes in 12 directions: pose (translation and rotation in the body's
/// frame) and velocities.
///
/// A step is semi-implicit: velocities first, then the pose with the new velocities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quadrotor {
    mass: f64,
    inertia: [[f64; 3]; 3],
    inverse: [[f64; 3]; 3],
    /// Force and torque of each rotor per N of thrust.
    wrench: [[f64; 4]; 6],
    dt: f64,
}

/// A rotor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotor {
    /// Where it is, from the centre of mass, m.
    pub position: [f64; 3],
    /// Where its thrust points, a unit vector.
    pub direction: [f64; 3],
    /// Torque along its direction per N of thrust, N·m/N = m; its sign is that of the air's reaction.
    pub torque: f64,
}

impl Rotor {
    /// Four rotors of equal arms (m) along the axes x, y, −x, −y that push up and turn in opposite senses.
    pub fn cross(arm: f64, torque: f64) -> [Self; 4] {
        let at =
            |x: f64, y: f64, torque: f64| Self { position: [x, y, 0.0], direction: [0.0, 0.0, 1.0], torque };
        [at(arm, 0.0, -torque), at(0.0, arm, torque), at(-arm, 0.0, -torque), at(0.0, -arm, torque)]
    }
}

impl Quadrotor {
    /// From mass (kg), inertia about the centre of mass (kg·m², symmetric), rotors and time step (s). `None` where the
    /// inertia cannot be inverted.
    pub fn new(mass: f64, inertia: [[f64; 3]; 3], rotors: &[Rotor; 4], dt: f64) -> Option<Self> {
        let mut wrench = [[0.0; 4]; 6];
        for (r, rotor) in rotors.iter().enumerate() {
            let lever = se3::cross(&rotor.position, &rotor.direction);
            for i in 0..3 {
                wrench[i][r] = rotor.direction[i];
                wrench[i + 3][r] = lever[i] + rotor.torque * rotor.direction[i];
            }
        }
        let [a, b, c] = inertia;
        let columns = [se3::cross(&b, &c), se3::cross(&c, &a), se3::cross(&a, &b)];
        let determinant = se3::dot(&a, &columns[0]);
        let inverse: [[f64; 3]; 3] =
            std::array::from_fn(|i| std::array::from_fn(|j| columns[j][i] / determinant));
        let sound = determinant > 0.0 && inverse.iter().flatten().all(|x| x.is_finite());
        sound.then_some(Self { mass, inertia, inverse, wrench, dt })
    }

    /// The quadrotor of the `hector_description` package: 1.477 kg, arms of 0.1525 m.
    pub fn hector(dt: f64) -> Self {
        let inertia = [[0.01152, 0.0, 0.0], [0.0, 0.01152, 0.0], [0.0, 0.0, 0.0218]];
        Self::new(1.477, inertia, &Rotor::cross(0.1525, 1e-6 / 6.6e-5), dt).expect("a sound inertia")
    }

    /// The thrust of each rotor that holds it up where all four push straight up, N.
    pub fn hover(&self) -> f64 {
        0.25 * self.mass * G
    }

    /// The velocities a time step later: linear, angular.
    #[inline(always)]
    fn velocities<T: Real>(&self, x: &[T; 13], u: &[T; 4], up: &se3::Vec3<T>) -> [se3::Vec3<T>; 2] {
        let [v, w] = [[x[7], x[8], x[9]], [x[10], x[11], x[12]]];
        let mut wrench = [T::zero(); 6];
        for i in 0..6 {
            for r in 0..4 {
                wrench[i] = T::splat(self.wrench[i][r]).mul_add(u[r], wrench[i]);
            }
        }
        let inertia = splat(&self.inertia);
        let momentum = se3::apply(&inertia, &w);
        let gyroscopic = se3::cross(&w, &momentum);
        let coriolis = se3::cross(&w, &v);
        let (dt, inverse_mass) = (T::splat(self.dt), T::splat(1.0 / self.mass));
        let (mut torque, mut next) = ([T::zero(); 3], v);
        for i in 0..3 {
            torque[i] = wrench[i + 3] - gyroscopic[i];
            let acceleration = wrench[i].mul_add(inverse_mass, T::splat(-G).mul_add(up[i], -coriolis[i]));
            next[i] = dt.mul_add(acceleration, v[i]);
        }
        let turn = se3::apply(&splat(&self.inverse), &torque);
        [next, se3::add_scaled(&w, dt, &turn)]
    }

    /// The state with other velocities, a time step along them.
    #[inline(always)]
    fn moved<T: Real>(
        &self,
        x: &[T; 13],
        rotation: &se3::Mat3<T>,
        v: &se3::Vec3<T>,
        w: &se3::Vec3<T>,
    ) -> [T; 13] {
        let (rho, phi) = (scaled(v, self.dt), scaled(w, self.dt));
        let (turn, shift) = se3::exp6(&rho, &phi);
        let q = se3::quat_mul(&[x[3], x[4], x[5], x[6]], &turn);
        let p = se3::add_scaled(&[x[0], x[1], x[2]], T::one(), &se3::apply(rotation, &shift));
        [p[0], p[1], p[2], q[0], q[1], q[2], q[3], v[0], v[1], v[2], w[0], w[1], w[2]]
    }
}

#[inline(always)]
fn splat<T: Real>(m: &[[f64; 3]; 3]) -> se3::Mat3<T> {
    let mut lanes = [[T::zero(); 3]; 3];
    for i in 0..3 {
        for j in 0..3 {
            lanes[i][j] = T::splat(m[i][j]);
        }
    }
    lanes
}

#[inline(always)]
fn scaled<T: Real>(v: &se3::Vec3<T>, h: f64) -> se3::Vec3<T> {
    let h = T::splat(h);
    [h * v[0], h * v[1], h * v[2]]
}

/// Writes a block of a matrix.
#[inline(always)]
fn put<T: Real, const C: usize>(into: &mut [[T; C]], row: usize, column: usize, block: &se3::Mat3<T>) {
    for i in 0..3 {
        for j in 0..3 {
            into[row + i][column + j] = block[i][j];
        }
    }
}

impl Motion<13, 12, 4> for Quadrotor {
    #[inline(always)]
    fn step<T: Real>(&self, x: &[T; 13], u: &[T; 4]) -> [T; 13] {
        let rotation = se3::matrix(&[x[3], x[4], x[5], x[6]]);
        let [v, w] = self.velocities(x, u, &rotation[2]);
        self.moved(x, &rotation, &v, &w)
    }

    #[inline(always)]
    fn linearise<T: Real>(&self, x: &[T; 13], u: &[T; 4]) -> ([T; 13], [[T; 12]; 12], [[T; 4]; 12]) {
        let zero = T::zero();
        let rotation = se3::matrix(&[x[3], x[4], x[5], x[6]]);
        let up = rotation[2];
        let [v, w] = [[x[7], x[8], x[9]], [x[10], x[11], x[12]]];
        let [next_v, next_w] = self.velocities(x, u, &up);
        let dt = T::splat(self.dt);

        // New velocities by attitude (gravity turns away), by velocity and by angular velocity.
        let v_by_turn = se3::hat(&scaled(&up, -G * self.dt));
        let mut v_by_v = se3::hat(&scaled(&w, -self.dt));
        let v_by_w = se3::hat(&scaled(&v, self.dt));
        let inertia = splat(&self.inertia);
        let spin = se3::mul(&se3::hat(&w), &inertia);
        let mut torque_by_w = se3::hat(&se3::apply(&inertia, &w));
        for i in 0..3 {
            v_by_v[i][i] = T::one();
            for j in 0..3 {
                torque_by_w[i][j] = (torque_by_w[i][j] - spin[i][j]) * dt;
            }
        }
        let mut w_by_w = se3::mul(&splat(&self.inverse), &torque_by_w);
        for i in 0..3 {
            w_by_w[i][i] += T::one();
        }

        // The pose by the pose before, and by the new velocities.
        let (rho, phi) = (scaled(&next_v, self.dt), scaled(&next_w, self.dt));
        let next = self.moved(x, &rotation, &next_v, &next_w);
        let (turn, shift) = se3::exp6(&rho, &phi);
        let turn = se3::matrix(&turn);
        let lever = se3::mul(&se3::hat(&shift), &turn);
        let (mut by_v, mut by_w) = se3::exp6_jacobian(&rho, &phi);
        for i in 0..3 {
            for j in 0..3 {
                by_v[i][j] = dt * by_v[i][j];
                by_w[i][j] = dt * by_w[i][j];
            }
        }
        let mut a = [[zero; 12]; 12];
        let mut back = turn;
        let mut levered = lever;
        for i in 0..3 {
            for j in 0..3 {
                back[i][j] = turn[j][i];
                // (hat(t) R)ᵀ = −Rᵀ hat(t)
                levered[i][j] = lever[j][i];
            }
        }
        let fall = se3::mul(&by_v, &v_by_turn);
        for i in 0..3 {
            for j in 0..3 {
                levered[i][j] += fall[i][j];
            }
        }
        put(&mut a, 0, 0, &back);
        put(&mut a, 0, 3, &levered);
        put(&mut a, 3, 3, &back);
        put(&mut a, 0, 6, &se3::mul(&by_v, &v_by_v));
        let (one, other) = (se3::mul(&by_v, &v_by_w), se3::mul(&by_w, &w_by_w));
        let mut both = one;
        for i in 0..3 {
            for j in 0..3 {
                both[i][j] = one[i][j] + other[i][j];
            }
        }
        put(&mut a, 0, 9, &both);
        put(&mut a, 3, 9, &se3::mul(&by_v, &w_by_w));
        put(&mut a, 6, 3, &v_by_turn);
        put(&mut a, 6, 6, &v_by_v);
        put(&mut a, 6, 9, &v_by_w);
        put(&mut a, 9, 9, &w_by_w);

        let mut b = [[zero; 4]; 12];
        for r in 0..4 {
            let mut torque = [zero; 3];
            for i in 0..3 {
                b[6 + i][r] = T::splat(self.dt / self.mass * self.wrench[i][r]);
                torque[i] = T::splat(self.dt * self.wrench[i + 3][r]);
            }
            let turned = se3::apply(&splat(&self.inverse), &torque);
            let pushed = [b[6][r], b[7][r], b[8][r]];
            for i in 0..3 {
                b[9 + i][r] = turned[i];
                b[i][r] = se3::dot(&by_v[i], &pushed) + se3::dot(&by_w[i], &turned);
                b[3 + i][r] = se3::dot(&by_v[i], &turned);
            }
        }
        (next, a, b)
    }

    #[inline(always)]
    fn difference<T: Real>(&self, from: &[T; 13], to: &[T; 13]) -> [T; 12] {
        let attitude = [from[3], from[4], from[5], from[6]];
        let away = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
        let turn = se3::quat_between(&attitude, &[to[3], to[4], to[5], to[6]]);
        let (rho, phi) = se3::log6(&turn, &se3::apply_transposed(&se3::matrix(&attitude), &away));
        let mut change = [T::zero(); 12];
        for i in 0..3 {
            (change[i], change[3 + i]) = (rho[i], phi[i]);
            (change[6 + i], change[9 + i]) = (to[7 + i] - from[7 + i], to[10 + i] - from[10 + i]);
        }
        change
    }

    #[inline(always)]
    fn displaced<T: Real>(&self, x: &[T; 13], change: &[T; 12]) -> [T; 13] {
        let attitude = [x[3], x[4], x[5], x[6]];
        let (turn, shift) = se3::exp6(&[change[0], change[1], change[2]], &[change[3], change[4], change[5]]);
        let q = se3::quat_mul(&attitude, &turn);
        let moved = se3::apply(&se3::matrix(&attitude), &shift);
        let mut next = *x;
        for i in 0..3 {
            next[i] = x[i] + moved[i];
            next[7 + i] = x[7 + i] + change[6 + i];
            next[10 + i] = x[10 + i] + change[9 + i];
        }
        next[3..7].copy_from_slice(&q);
        next
    }
}
