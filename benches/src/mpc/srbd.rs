//! A quadruped as a single rigid body: from physics to forces.

use std::time::Instant;

use phalanx_ocp::{
    lanes::Isa,
    srbd::{LEGS, Outcome, Settings, Solver, Task},
};
use serde::Deserialize;

use super::{Entry, Instances, Kernel, Lap};
use crate::Error;

/// Rows of the table.
pub const KERNELS: &[Entry] = &[
    Entry {
        kernel: "srbd",
        takes: &["srbd"],
        says: "whole tick from physics to forces, one robot at a time, cold",
        exact: true,
        make: |instances| make(instances, Isa::scalar()),
    },
    Entry {
        kernel: "srbd, lanes",
        takes: &["srbd"],
        says: "the same, as many robots at once as the processor has lanes; a robot's share",
        exact: true,
        make: |instances| make(instances, Isa::widest()),
    },
];

/// `srbd.Parameters`, those that the kernel needs.
#[derive(Deserialize)]
struct Parameters {
    horizon: usize,
    dt: f64,
    mass: f64,
    inertia: [f64; 3],
    gravity: f64,
    friction: f64,
    max_force: f64,
    state_weights: [f64; 12],
    force_weight: f64,
}

struct Race {
    tasks: Vec<Task>,
    solver: Solver,
}

fn make(instances: &Instances, isa: Isa) -> Result<Box<dyn Kernel>, Error> {
    let has: Parameters = instances.parameters()?;
    let settings = Settings {
        horizon: has.horizon,
        dt: has.dt,
        state_weights: has.state_weights,
        force_weight: has.force_weight,
        gravity: has.gravity,
        ..Settings::default()
    };
    let mut solver = Solver::new(&settings, isa.lanes(), isa)?;
    let blank = solver.task_mut(0).clone();
    let tasks = (0..instances.count()).map(|i| task(instances, i, &has, blank.clone())).collect();
    Ok(Box::new(Race { tasks, solver }))
}

fn task(from: &Instances, i: usize, has: &Parameters, mut task: Task) -> Task {
    (task.mass, task.friction) = (has.mass, has.friction);
    (task.force_min, task.force_max) = (0.0, has.max_force);
    for (axis, &inertia) in has.inertia.iter().enumerate() {
        task.inertia[axis][axis] = inertia;
    }
    task.state.copy_from_slice(from.array("x0", i));
    task.yaw.fill(from.array("yaw", i)[0]);
    for k in 0..has.horizon {
        task.reference[k].copy_from_slice(from.stage("target", i, k + 1));
        task.levers[k].as_flattened_mut().copy_from_slice(from.stage("levers", i, k));
        let stands = from.stage("contacts", i, k);
        task.contact[k] = std::array::from_fn(|leg| stands[leg] > 0.0);
    }
    task
}

impl Kernel for Race {
    fn laps(&mut self, lap: &mut dyn FnMut(Lap)) {
        let rows: Vec<usize> = (0..self.solver.lanes()).collect();
        for tasks in self.tasks.chunks(rows.len()) {
            let start = Instant::now();
            for (row, task) in tasks.iter().enumerate() {
                self.solver.task_mut(row).clone_from(task);
            }
            self.solver.solve(&rows[..tasks.len()]);
            let took = Lap::since(start, tasks.len(), 0, false);
            for row in 0..tasks.len() {
                let plan = self.solver.plan(row);
                let mut u = Vec::with_capacity(plan.forces.len() * LEGS * 3);
                plan.forces.iter().for_each(|feet| u.extend_from_slice(feet.as_flattened()));
                let ok = plan.outcome == Outcome::Solved;
                lap(Lap { iterations: plan.iterations, ok, u: Some(u), ..took.clone() });
            }
        }
    }
}
