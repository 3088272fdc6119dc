//! Between a row's fields and the controller's numbers.

use crate::{Plan, PoseTracking, WIDTH};
use phalanx::{Error, Inputs, Meant, Outputs, Result, Setup, Wire, robot::QuatOrder};
use phalanx_ocp::ddp::Cost;

/// The fields of the root, in the state, the command or the prediction.
#[derive(Debug)]
struct Root {
    pos: Wire,
    quat: Wire,
    linear: Wire,
    angular: Wire,
}

/// The fields it reads and writes.
#[derive(Debug)]
pub struct Wires {
    /// The rotors among the robot's joints, and how many joints it has.
    rotors: [usize; 4],
    width: usize,
    order: QuatOrder,
    state: Root,
    command: Root,
    path: Root,
    target: [(Wire, Meant); 3],
    thrusts: Wire,
    path_thrusts: Wire,
    time: Wire,
    node_cost: Wire,
    cost_terms: Wire,
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

impl Root {
    fn of(wire: impl Fn(&str) -> Result<Wire>) -> Result<Self> {
        Ok(Self {
            pos: wire("root_pos")?,
            quat: wire("root_quat")?,
            linear: wire("root_lin_vel")?,
            angular: wire("root_ang_vel")?,
        })
    }

    /// Writes a state as node number `k`.
    fn write(&self, outputs: &mut Outputs<'_>, k: usize, x: &[f64; 13], order: QuatOrder) {
        self.pos.write(outputs, 3 * k, &x[..3]);
        self.quat.write(outputs, 4 * k, &order.from_wxyz([x[3], x[4], x[5], x[6]]));
        self.linear.write(outputs, 3 * k, &x[7..10]);
        self.angular.write(outputs, 3 * k, &x[10..]);
    }
}

impl Wires {
    pub fn of(setup: &Setup, rotors: [usize; 4]) -> Result<Self> {
        let refs = |name: &str| Ok::<_, Error>((Wire::refs(setup, name)?, setup.meant(name)?));
        Ok(Self {
            rotors,
            width: setup.robot().joints.len(),
            order: setup.robot().quat_order,
            state: Root::of(|name| Wire::state(setup, name))?,
            command: Root::of(|name| Wire::cmd(setup, name))?,
            path: Root::of(|name| Wire::prediction(setup, name))?,
            target: [refs("target_pos")?, refs("target_yaw")?, refs("target_vel")?],
            thrusts: Wire::cmd(setup, "joint_effort")?,
            path_thrusts: Wire::prediction(setup, "joint_effort")?,
            time: Wire::prediction(setup, "time")?,
            node_cost: Wire::prediction(setup, "node_cost")?,
            cost_terms: Wire::prediction(setup, "cost_terms")?,
        })
    }

    /// `None` where the attitude is none. A target that is not meant is the origin, no turn, or rest.
    pub fn read(&self, inputs: &Inputs<'_>) -> Option<Seen> {
        let quat = match self.state.quat {
            Wire::F32(quat) => inputs.quat(quat),
            Wire::F64(quat) => inputs.quat(quat),
        }?;
        let mut state = [0.0; 13];
        state[3..7].copy_from_slice(&quat);
        for (first, field) in [(0, self.state.pos), (7, self.state.linear), (10, self.state.angular)] {
            field.read_into(inputs, 0, &mut state[first..first + 3]);
        }
        let [position, yaw, velocity] = self.target;
        let read =
            |(wire, meant): (Wire, Meant)| if inputs.means(meant) { wire.read(inputs, 0) } else { [0.0; 3] };
        Some(Seen {
            state,
            position: read(position),
            yaw: if inputs.means(yaw.1) { yaw.0.get(inputs, 0) } else { 0.0 },
            velocity: read(velocity),
        })
    }

    pub fn write(&self, shown: &Shown<'_>, outputs: &mut Outputs<'_>) {
        let (plan, nodes) = (&shown.plan, self.time.len());
        self.command.write(outputs, 0, &plan.state(1), self.order);
        for (rotor, thrust) in self.rotors.into_iter().zip(plan.input(0)) {
            self.thrusts.write(outputs, rotor, &[thrust]);
        }
        self.time.write_each(outputs, 0, 1, (0..nodes).map(|k| k as f64 * shown.dt));
        for (i, rotor) in self.rotors.into_iter().enumerate() {
            let thrusts = (0..nodes - 1).map(|k| plan.input(k)[i]);
            self.path_thrusts.write_each(outputs, rotor, self.width, thrusts);
        }
        for k in 0..nodes {
            let x = plan.state(k);
            let reference = &shown.references[k * WIDTH..(k + 1) * WIDTH];
            self.path.write(outputs, k, &x, self.order);
            let (mut node, mut thrust_cost) = (0.0, 0.0);
            if k + 1 == nodes {
                node += shown.cost.terminal(&x, reference);
            } else {
                let u = plan.input(k);
                node += shown.cost.stage(&x, &u, reference);
                for i in 0..4 {
                    let off = u[i] - reference[13 + i];
                    thrust_cost += 0.5 * shown.cost.input[i] * off * off;
                }
            }
            self.node_cost.write(outputs, k, &[node]);
            self.cost_terms.write_each(outputs, k, nodes, [node - thrust_cost, thrust_cost]);
        }
    }
}
