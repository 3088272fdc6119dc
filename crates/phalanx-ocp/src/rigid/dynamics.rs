//! Which forces make the tree move so, and how it moves under forces.
//!
//! The base frame is taken as an inertial one that coincides with the base at this instant, and everything is seen
//! from its origin; so the recursions add without transforming, and the base's spatial acceleration is the rate of
//! its twist in its own axes.

use super::spatial::{Articulated, Inertia, Twist, Wrench};
use super::{Tree, TreeError, Workspace};
use crate::vec3::V3;

/// How a tree moves, and which way it falls.
#[derive(Clone, Copy, Debug)]
pub struct Moving<'a> {
    /// Velocity of the base, in its own axes.
    pub base: Twist,
    /// Velocities of the joints, in rad/s or m/s.
    pub v: &'a [f64],
    /// Acceleration of what falls freely, in the base frame's axes, in m/s².
    pub gravity: V3,
}

impl<'a> Moving<'a> {
    /// A base at rest, without gravity.
    pub fn at_rest(v: &'a [f64]) -> Self {
        Self { base: Twist::default(), v, gravity: [0.0; 3] }
    }
}

impl Tree {
    /// Efforts of the joints, and the wrench on the base about its origin, under which base and joints accelerate
    /// so (recursive Newton-Euler). The base's acceleration is the rate of its twist in its own axes.
    ///
    /// # Panics
    /// If a slice is not one number per joint.
    pub fn inverse_dynamics(
        &self,
        work: &mut Workspace,
        moving: &Moving,
        base: &Twist,
        a: &[f64],
        efforts: &mut [f64],
    ) -> Wrench {
        assert_eq!([a.len(), efforts.len()], [self.joints(); 2], "one acceleration and effort per joint");
        self.spread_velocities(work, &moving.base, moving.v);
        work.accelerations[0] = base.plus(&falling_up(moving.gravity));
        for (index, body) in self.bodies.iter().enumerate() {
            if index > 0 {
                let drag = self.drag(work, index, moving.v);
                let own = work.axes[index].times(a[body.joint]);
                work.accelerations[index] = work.accelerations[body.parent].plus(&own).plus(&drag);
            }
            work.forces[index] =
                work.inertias[index].times(&work.accelerations[index]).plus(&inertial_force(work, index));
        }
        for (index, body) in self.bodies.iter().enumerate().skip(1).rev() {
            let force = work.forces[index];
            efforts[body.joint] = work.axes[index].dot(&force) + body.armature * a[body.joint];
            work.forces[body.parent] = work.forces[body.parent].plus(&force);
        }
        work.forces[0]
    }

    /// Efforts and wrench under which nothing accelerates: gravity, Coriolis and centrifugal forces, less the pushes.
    /// At rest: what it takes to hold the tree up.
    ///
    /// # Panics
    /// If a slice is not one number per joint.
    pub fn bias(&self, work: &mut Workspace, moving: &Moving, efforts: &mut [f64]) -> Wrench {
        assert_eq!([moving.v.len(), efforts.len()], [self.joints(); 2], "one velocity and effort per joint");
        self.spread_velocities(work, &moving.base, moving.v);
        work.accelerations[0] = falling_up(moving.gravity);
        for (index, body) in self.bodies.iter().enumerate() {
            if index > 0 {
                let drag = self.drag(work, index, moving.v);
                work.accelerations[index] = work.accelerations[body.parent].plus(&drag);
            }
            work.forces[index] =
                work.inertias[index].times(&work.accelerations[index]).plus(&inertial_force(work, index));
        }
        for (index, body) in self.bodies.iter().enumerate().skip(1).rev() {
            let force = work.forces[index];
            efforts[body.joint] = work.axes[index].dot(&force);
            work.forces[body.parent] = work.forces[body.parent].plus(&force);
        }
        work.forces[0]
    }

    /// The mass matrix, row by row, over base velocity (linear, angular) and joint velocities (composite bodies).
    ///
    /// # Panics
    /// If `matrix` is not of (6 + joints)² numbers.
    pub fn mass_matrix(&self, work: &mut Workspace, matrix: &mut [f64]) {
        let n = 6 + self.joints();
        assert_eq!(matrix.len(), n * n, "(6 + joints)² numbers");
        matrix.fill(0.0);
        work.composites.copy_from_slice(&work.inertias);
        for (index, body) in self.bodies.iter().enumerate().skip(1).rev() {
            work.composites[body.parent] = work.composites[body.parent].plus(&work.composites[index]);
        }
        let mut set = |row: usize, column: usize, value: f64| {
            matrix[row * n + column] = value;
            matrix[column * n + row] = value;
        };
        for (index, body) in self.bodies.iter().enumerate().skip(1) {
            let force = work.composites[index].times(&work.axes[index]);
            let row = 6 + body.joint;
            set(row, row, work.axes[index].dot(&force) + body.armature);
            let mut next = body.parent;
            while next != 0 {
                set(row, 6 + self.bodies[next].joint, work.axes[next].dot(&force));
                next = self.bodies[next].parent;
            }
            set_base(&mut set, row, &force);
        }
        for (row, twist) in units().into_iter().enumerate() {
            set_base(&mut set, row, &work.composites[0].times(&twist));
        }
    }

    /// How base and joints accelerate under these efforts and the pushes (articulated bodies). The base's
    /// acceleration is the rate of its twist in its own axes.
    ///
    /// # Panics
    /// If a slice is not one number per joint.
    pub fn forward_dynamics(
        &self,
        work: &mut Workspace,
        moving: &Moving,
        efforts: &[f64],
        a: &mut [f64],
    ) -> Result<Twist, TreeError> {
        assert_eq!([efforts.len(), a.len()], [self.joints(); 2], "one effort and acceleration per joint");
        self.spread_velocities(work, &moving.base, moving.v);
        for index in 0..self.bodies.len() {
            work.articulated[index] = Articulated::of(&work.inertias[index]);
            work.forces[index] = inertial_force(work, index);
        }
        for (index, body) in self.bodies.iter().enumerate().skip(1).rev() {
            let (axis, inertia) = (work.axes[index], work.articulated[index]);
            let resist = inertia.times(&axis);
            let along = axis.dot(&resist) + body.armature;
            if along.is_nan() || along <= 1e-12 * (body.armature + body.inertia.mass) {
                return Err(TreeError::Singular { joint: Some(body.joint) });
            }
            work.resists[index] = (resist, along);
            let left = efforts[body.joint] - axis.dot(&work.forces[index]);
            let given = inertia.less(&resist, along);
            let force = work.forces[index]
                .plus(&given.times(&self.drag(work, index, moving.v)))
                .plus(&resist.times(left / along));
            work.articulated[body.parent] = work.articulated[body.parent].plus(&given);
            work.forces[body.parent] = work.forces[body.parent].plus(&force);
        }
        let base = work.articulated[0]
            .accelerated_by(&work.forces[0].times(-1.0))
            .ok_or(TreeError::Singular { joint: None })?;
        work.accelerations[0] = base;
        for (index, body) in self.bodies.iter().enumerate().skip(1) {
            let carried = work.accelerations[body.parent].plus(&self.drag(work, index, moving.v));
            let (resist, along) = work.resists[index];
            // `forces` holds what came up from the children too, as it did on the way to the base.
            let left = efforts[body.joint] - work.axes[index].dot(&work.forces[index]);
            a[body.joint] = (left - carried.dot(&resist)) / along;
            work.accelerations[index] = carried.plus(&work.axes[index].times(a[body.joint]));
        }
        // All fall alike, so gravity enters here alone.
        Ok(base.plus(&falling_up(moving.gravity).times(-1.0)))
    }

    /// The acceleration that a body has from its joint's moving with its parent.
    #[inline]
    fn drag(&self, work: &Workspace, index: usize, v: &[f64]) -> Twist {
        let body = &self.bodies[index];
        work.velocities[body.parent].carries(&work.axes[index].times(v[body.joint]))
    }
}

/// To rest in a field is to accelerate against it.
fn falling_up(gravity: V3) -> Twist {
    Twist { lin: gravity.map(|part| -part), ang: [0.0; 3] }
}

/// The force that keeps a body on its course without accelerating it, less the pushes from outside.
#[inline]
fn inertial_force(work: &Workspace, index: usize) -> Wrench {
    let velocity = &work.velocities[index];
    let inertia: &Inertia = &work.inertias[index];
    velocity.carries_momentum(&inertia.times(velocity)).plus(&work.pushes[index].times(-1.0))
}

/// Motions of the base along and about x, y, z.
fn units() -> [Twist; 6] {
    std::array::from_fn(|which| {
        let mut twist = Twist::default();
        if which < 3 {
            twist.lin[which] = 1.0;
        } else {
            twist.ang[which - 3] = 1.0;
        }
        twist
    })
}

fn set_base(set: &mut impl FnMut(usize, usize, f64), row: usize, force: &Wrench) {
    for i in 0..3 {
        set(row, i, force.force[i]);
        set(row, 3 + i, force.torque[i]);
    }
}
