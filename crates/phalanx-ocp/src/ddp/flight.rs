//! What a flying body is to do.

use super::problem::{Cost, Quadratic};
use crate::{lanes::Real, model::se3};

/// Half the weighted squares of how far a flying body is from a pose (as the six numbers of the motion between: so many m
/// and rad in its own frame), a velocity and thrusts. A state is that of [`Quadrotor`](crate::model::Quadrotor). A
/// reference is 17 numbers: position (m, world), attitude (unit quaternion, w first), linear velocity (m/s, world),
/// angular velocity (rad/s, body), four thrusts (N).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoseTracking {
    /// Weights at every node but the last: translation, rotation, linear and angular velocity, three each.
    pub state: [f64; 12],
    /// Weights of the thrusts.
    pub input: [f64; 4],
    /// Weights at the last node.
    pub terminal: [f64; 12],
}

/// How far from the reference, and how that changes.
struct Off<T> {
    pose: [T; 6],
    linear: [T; 3],
    angular: [T; 3],
    /// The reference's velocity in the body's frame.
    velocity: [T; 3],
}

impl PoseTracking {
    #[inline(always)]
    fn off<T: Real>(x: &[T; 13], reference: &[T]) -> Off<T> {
        let goal = [reference[3], reference[4], reference[5], reference[6]];
        let away = [x[0] - reference[0], x[1] - reference[1], x[2] - reference[2]];
        let attitude = [x[3], x[4], x[5], x[6]];
        let turn = se3::quat_between(&goal, &attitude);
        let (rho, phi) = se3::log6(&turn, &se3::apply_transposed(&se3::matrix(&goal), &away));
        let wanted = [reference[7], reference[8], reference[9]];
        let velocity = se3::apply_transposed(&se3::matrix(&attitude), &wanted);
        Off {
            pose: [rho[0], rho[1], rho[2], phi[0], phi[1], phi[2]],
            linear: [x[7] - velocity[0], x[8] - velocity[1], x[9] - velocity[2]],
            angular: [x[10] - reference[10], x[11] - reference[11], x[12] - reference[12]],
            velocity,
        }
    }

    #[inline(always)]
    fn state_cost<T: Real>(weights: &[f64; 12], x: &[T; 13], reference: &[T]) -> T {
        let off = Self::off(x, reference);
        let mut sum = T::zero();
        for i in 0..6 {
            sum = (T::splat(0.5 * weights[i]) * off.pose[i]).mul_add(off.pose[i], sum);
        }
        for i in 0..3 {
            sum = (T::splat(0.5 * weights[6 + i]) * off.linear[i]).mul_add(off.linear[i], sum);
            sum = (T::splat(0.5 * weights[9 + i]) * off.angular[i]).mul_add(off.angular[i], sum);
        }
        sum
    }

    #[inline(always)]
    fn state_model<T: Real>(weights: &[f64; 12], x: &[T; 13], reference: &[T]) -> Quadratic<T, 12, 4> {
        let mut model = Quadratic::zero();
        let off = Self::off(x, reference);
        let (rho, phi) = ([off.pose[0], off.pose[1], off.pose[2]], [off.pose[3], off.pose[4], off.pose[5]]);
        let (j, q) = se3::log6_jacobian(&rho, &phi);
        // The linear velocity's distance changes with the attitude, too: the goal's turns away.
        let turned = se3::hat(&off.velocity);
        for i in 0..3 {
            let mut row = [T::zero(); 6];
            for k in 0..3 {
                (row[k], row[3 + k]) = (j[i][k], q[i][k]);
            }
            add_square(&mut model, T::splat(weights[i]), off.pose[i], &row);
            for k in 0..3 {
                (row[k], row[3 + k]) = (T::zero(), j[i][k]);
            }
            add_square(&mut model, T::splat(weights[3 + i]), off.pose[3 + i], &row);

            let weight = T::splat(weights[6 + i]);
            for k in 0..3 {
                (row[k], row[3 + k]) = (T::zero(), -turned[i][k]);
            }
            add_square(&mut model, weight, off.linear[i], &row);
            for k in 3..6 {
                model.xx[6 + i][k] = weight * row[k];
            }
            model.x[6 + i] = weight * off.linear[i];
            model.xx[6 + i][6 + i] = weight;
            let weight = T::splat(weights[9 + i]);
            model.x[9 + i] = weight * off.angular[i];
            model.xx[9 + i][9 + i] = weight;
        }
        for i in 0..12 {
            for k in 0..i {
                model.xx[k][i] = model.xx[i][k];
            }
        }
        model
    }
}

/// Adds half the weighted square of a number with this gradient by the pose: lower triangle.
#[inline(always)]
fn add_square<T: Real>(model: &mut Quadratic<T, 12, 4>, weight: T, value: T, row: &[T; 6]) {
    for i in 0..6 {
        let slope = weight * row[i];
        model.x[i] = slope.mul_add(value, model.x[i]);
        for k in 0..=i {
            model.xx[i][k] = slope.mul_add(row[k], model.xx[i][k]);
        }
    }
}

impl Cost<13, 12, 4> for PoseTracking {
    #[inline(always)]
    fn references(&self) -> usize {
        17
    }
    #[inline(always)]
    fn stage<T: Real>(&self, x: &[T; 13], u: &[T; 4], reference: &[T]) -> T {
        let mut sum = Self::state_cost(&self.state, x, reference);
        for i in 0..4 {
            let off = u[i] - reference[13 + i];
            sum = (T::splat(0.5 * self.input[i]) * off).mul_add(off, sum);
        }
        sum
    }
    #[inline(always)]
    fn terminal<T: Real>(&self, x: &[T; 13], reference: &[T]) -> T {
        Self::state_cost(&self.terminal, x, reference)
    }
    #[inline(always)]
    fn stage_model<T: Real>(&self, x: &[T; 13], u: &[T; 4], reference: &[T]) -> Quadratic<T, 12, 4> {
        let mut model = Self::state_model(&self.state, x, reference);
        for i in 0..4 {
            model.u[i] = T::splat(self.input[i]) * (u[i] - reference[13 + i]);
            model.uu[i][i] = T::splat(self.input[i]);
        }
        model
    }
    #[inline(always)]
    fn terminal_model<T: Real>(&self, x: &[T; 13], reference: &[T]) -> Quadratic<T, 12, 4> {
        Self::state_model(&self.terminal, x, reference)
    }
    #[inline(always)]
    fn guess<T: Real>(&self, start: &[T; 13], _share: f64, reference: &[T]) -> ([T; 13], [T; 4]) {
        (*start, [reference[13], reference[14], reference[15], reference[16]])
    }
}
