//! Between a row's fields, in the cluster's precision, and the controller's numbers.

use crate::{Plan, PoseTracking, WIDTH};
use phalanx::{Element, Handle, Inputs, Outputs, Result, Setup, robot::QuatOrder};
use phalanx_ocp::ddp::Cost;

/// The fields of the root, in the state, the command or the prediction.
#[derive(Debug)]
struct Root<T> {
    pos: Handle<T>,
    quat: Handle<T>,
    linear: Handle<T>,
    angular: Handle<T>,
}

/// The fields it reads and writes.
#[derive(Debug)]
pub struct Wires<T> {
    /// The rotors among the robot's joints, and how many joints it has.
    rotors: [usize; 4],
    width: usize,
    order: QuatOrder,
    state: Root<T>,
    command: Root<T>,
    path: Root<T>,
    target: [Handle<f32>; 3],
    thrusts: Handle<T>,
    path_thrusts: Handle<T>,
    time: Handle<T>,
    node_cost: Handle<T>,
    cost_terms: Handle<T>,
}

/// Where a row is, and what is wanted of it.
pub struct Seen {
    pub state: [f64; 13],
    pub position: [f64; 3],
    pub yaw: f64,
    pub velocity: [f64; 3],
}

/// What is published of a plan.
pub struct Shown<'a> {
    pub plan: Plan<'a, 13, 12, 4>,
    pub cost: &'a PoseTracking,
    pub references: &'a [f64],
    pub dt: f64,
}

impl<T: Element> Root<T> {
    fn of(handle: impl Fn(&str) -> Result<Handle<T>>) -> Result<Self> {
        Ok(Self {
            pos: handle("root_pos")?,
            quat: handle("root_quat")?,
            linear: handle("root_lin_vel")?,
            angular: handle("root_ang_vel")?,
        })
    }

    /// Writes a state as node number `k`.
    fn write(&self, outputs: &mut Outputs<'_>, k: usize, x: &[f64; 13], order: QuatOrder) {
        let quat = order.from_wxyz([x[3], x[4], x[5], x[6]]);
        let parts: [(Handle<T>, &[f64]); 4] =
            [(self.pos, &x[..3]), (self.quat, &quat), (self.linear, &x[7..10]), (self.angular, &x[10..])];
        for (field, numbers) in parts {
            let into = &mut outputs.get(field)[k * numbers.len()..(k + 1) * numbers.len()];
            into.iter_mut().zip(numbers).for_each(|(to, from)| *to = T::from_f64(*from));
        }
    }
}

impl<T: Element> Wires<T> {
    pub fn of(setup: &Setup, rotors: [usize; 4]) -> Result<Self> {
        Ok(Self {
            rotors,
            width: setup.robot().joints.len(),
            order: setup.robot().quat_order,
            state: Root::of(|name| setup.state(name))?,
            command: Root::of(|name| setup.cmd(name))?,
            path: Root::of(|name| setup.prediction(name))?,
            target: [setup.refs("target_pos")?, setup.refs("target_yaw")?, setup.refs("target_vel")?],
            thrusts: setup.cmd("joint_effort")?,
            path_thrusts: setup.prediction("joint_effort")?,
            time: setup.prediction("time")?,
            node_cost: setup.prediction("node_cost")?,
            cost_terms: setup.prediction("cost_terms")?,
        })
    }

    /// `None` where the attitude is none.
    pub fn read(&self, inputs: &Inputs<'_>) -> Option<Seen> {
        let quat = inputs.quat(self.state.quat)?;
        let mut state = [0.0; 13];
        state[3..7].copy_from_slice(&quat);
        for (first, field) in [(0, self.state.pos), (7, self.state.linear), (10, self.state.angular)] {
            let numbers = inputs.get(field);
            (0..3).for_each(|i| state[first + i] = numbers[i].to_f64());
        }
        let [position, yaw, velocity] = self.target;
        let three = |field| {
            let numbers = inputs.get::<f32>(field);
            std::array::from_fn(|i| f64::from(numbers[i]))
        };
        let yaw = inputs.scalar(yaw).into();
        Some(Seen { state, position: three(position), yaw, velocity: three(velocity) })
    }

    pub fn write(&self, shown: &Shown<'_>, outputs: &mut Outputs<'_>) {
        let (plan, nodes) = (&shown.plan, outputs.get(self.time).len());
        self.command.write(outputs, 0, &plan.state(1), self.order);
        let thrusts = plan.input(0);
        for (rotor, thrust) in self.rotors.into_iter().zip(thrusts) {
            outputs.get(self.thrusts)[rotor] = T::from_f64(thrust);
        }
        for k in 0..nodes {
            let x = plan.state(k);
            let reference = &shown.references[k * WIDTH..(k + 1) * WIDTH];
            self.path.write(outputs, k, &x, self.order);
            outputs.get(self.time)[k] = T::from_f64(k as f64 * shown.dt);
            let (mut node, mut thrust_cost) = (0.0, 0.0);
            if k + 1 == nodes {
                node += shown.cost.terminal(&x, reference);
            } else {
                let u = plan.input(k);
                node += shown.cost.stage(&x, &u, reference);
                for (i, rotor) in self.rotors.into_iter().enumerate() {
                    let off = u[i] - reference[13 + i];
                    thrust_cost += 0.5 * shown.cost.input[i] * off * off;
                    outputs.get(self.path_thrusts)[k * self.width + rotor] = T::from_f64(u[i]);
                }
            }
            outputs.get(self.node_cost)[k] = T::from_f64(node);
            let terms = outputs.get(self.cost_terms);
            terms[k] = T::from_f64(node - thrust_cost);
            terms[nodes + k] = T::from_f64(thrust_cost);
        }
    }
}
