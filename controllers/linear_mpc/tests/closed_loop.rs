//! Robots under linear MPC, and parameters that are refused.

use phalanx::{ClusterClient, ClusterConfig, LocalCluster, Outcome, Real, Rows, Wait, robot::RobotSpec};
use phalanx_linear_mpc::LinearMpc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A cart of 1 kg, pushed for 0.1 s a step.
const CART: &str = r#"
states = ["joint_q.cart", "joint_v.cart"]
inputs = ["joint_effort.cart"]
A = [[1, 0.1], [0, 1]]
B = [[0.005], [0.1]]
Q = [1, 0.1]
R = [0.01]
horizon = 20
u_min = [-1]
u_max = [1]
"#;

/// A cart of 1 kg with a pole of 0.1 kg, 0.8 m away, near its upper rest; 0.02 s a step by Euler's second rule.
const POLE: &str = r#"
states = ["joint_q.cart", "joint_q.pole", "joint_v.cart", "joint_v.pole"]
inputs = ["joint_effort.cart"]
A = [[1, 0.0003924, 0.02, 0], [0, 1.0053955, 0, 0.02], [0, 0.01962, 1, 0], [0, 0.269775, 0, 1]]
B = [[0.0004], [0.0005], [0.02], [0.025]]
Q = [10, 10, 0.1, 0.1]
R = [0.01]
horizon = 40
u_min = [-4]
u_max = [4]
x_min = [-1, "none", "none", "none"]
x_max = [1, "none", "none", "none"]
x_soft = { l1 = 10, l2 = 1000 }
"#;

fn config(rows: usize, params: &str, real: Real) -> ClusterConfig {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("linear-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let robot = RobotSpec::new("cart", ["pole", "cart"]).unwrap();
    let params = toml::from_str(params).unwrap();
    ClusterConfig { real, params, ..ClusterConfig::new(&name, rows, robot) }
}

struct Loop {
    cluster: LocalCluster,
    client: ClusterClient,
}

impl Loop {
    fn new(rows: usize, params: &str) -> Self {
        let cluster =
            LocalCluster::start_group::<LinearMpc>(config(rows, params, Real::F64), "linear_mpc").unwrap();
        let client = cluster.client().unwrap();
        Self { cluster, client }
    }

    /// Positions and velocities of cart and pole in, forces on the cart out. The pole is the first joint.
    fn round(&mut self, rows: &[usize], states: &[[f64; 4]]) -> Vec<f64> {
        let fields = ["joint_q", "joint_v"].map(|name| self.client.state.handle::<f64>(name).unwrap());
        for (&row, [cart, pole, cart_v, pole_v]) in rows.iter().zip(states) {
            self.client.state.get_mut(fields[0], row).copy_from_slice(&[*pole, *cart]);
            self.client.state.get_mut(fields[1], row).copy_from_slice(&[*pole_v, *cart_v]);
        }
        let ticket = self.client.trigger(Rows::Ids(rows)).unwrap();
        self.cluster.serve();
        self.client.wait(ticket, Wait::default()).unwrap();
        let effort = self.client.cmd.handle::<f64>("joint_effort").unwrap();
        rows.iter().map(|row| self.client.cmd.get(effort, *row)[1]).collect()
    }

    fn outcome(&self, row: usize) -> Outcome {
        self.client.last_report().outcomes()[row]
    }
}

#[test]
fn a_cart_reaches_its_place_within_its_force() {
    let mut cart = Loop::new(1, CART);
    let x_ref = cart.client.refs.handle::<f64>("x_ref").unwrap();
    cart.client.refs.get_mut(x_ref, 0).copy_from_slice(&[2.0, 0.0]);
    let (mut q, mut v, mut most) = (0.0, 0.0, 0.0f64);
    for _ in 0..120 {
        let u = cart.round(&[0], &[[q, 0.0, v, 0.0]])[0];
        (q, v, most) = (q + 0.1 * v + 0.005 * u, v + 0.1 * u, most.max(u.abs()));
    }
    assert!((q - 2.0).abs() < 1e-3 && v.abs() < 1e-3, "at {q}, {v}");
    assert!((0.999..=1.0).contains(&most), "the force saturates and stays within: {most}");
    let time = cart.client.prediction.as_ref().unwrap().read("time", 0).unwrap();
    assert_eq!(time.len(), 21);
}

#[test]
fn a_pole_stays_up() {
    let mut pole = Loop::new(1, POLE);
    let mut x = [0.0, 0.15, 0.0, 0.0];
    let mut most = 0.0f64;
    for _ in 0..400 {
        let u = pole.round(&[0], &[x])[0];
        most = most.max(u.abs());
        let a = [
            [1.0, 0.0003924, 0.02, 0.0],
            [0.0, 1.0053955, 0.0, 0.02],
            [0.0, 0.01962, 1.0, 0.0],
            [0.0, 0.269775, 0.0, 1.0],
        ];
        let b = [0.0004, 0.0005, 0.02, 0.025];
        x = std::array::from_fn(|i| (0..4).map(|j| a[i][j] * x[j]).sum::<f64>() + b[i] * u);
    }
    assert!(x.iter().all(|x| x.abs() < 0.02), "{x:?}");
    assert!(most > 3.9, "the force saturates: {most}");
}

#[test]
fn a_constant_push_leaves_no_offset() {
    let rest = |params: &str| {
        let mut cart = Loop::new(1, params);
        let (mut q, mut v) = (0.5, 0.0);
        for _ in 0..400 {
            let u = cart.round(&[0], &[[q, 0.0, v, 0.0]])[0] + 0.3;
            (q, v) = (q + 0.1 * v + 0.005 * u, v + 0.1 * u);
        }
        q
    };
    assert!(rest(CART).abs() > 0.01, "without, it stays away: {}", rest(CART));
    let free = rest(&format!("{CART}offset_free = true\n"));
    assert!(free.abs() < 1e-4, "{free}");
}

#[test]
fn rows_are_answered_alike_alone_and_together() {
    let start = |row: usize| [0.1 * row as f64 - 0.8, 0.02 * row as f64 - 0.1, 0.3, -0.2];
    for method in ["auto", "interior_point"] {
        let params = format!("{POLE}method = \"{method}\"\n");
        let mut together = Loop::new(17, &params);
        let rows: Vec<usize> = (0..17).collect();
        for tick in 0..3 {
            let states: Vec<_> = rows.iter().map(|row| start(row + tick)).collect();
            let forces = together.round(&rows, &states);
            let few = together.round(&[16, 3], &[states[16], states[3]]);
            for lanes in [0, 1] {
                let mut alone = Loop::new(1, &format!("{params}lanes = {lanes}\n"));
                for (row, force) in forces.iter().enumerate() {
                    alone.client.reset(Rows::All).unwrap();
                    assert_eq!(alone.round(&[0], &[states[row]])[0].to_bits(), force.to_bits(), "row {row}");
                }
            }
            assert_eq!([few[0].to_bits(), few[1].to_bits()], [forces[16].to_bits(), forces[3].to_bits()]);
        }
    }
}

#[test]
fn what_cannot_be_met_fails_that_row_and_says_why() {
    let mut cart = Loop::new(2, &format!("{CART}x_max = [1, \"none\"]\n"));
    cart.round(&[0, 1], &[[0.0, 0.0, 0.0, 0.0], [0.9, 0.0, 5.0, 0.0]]);
    assert_eq!((cart.outcome(0), cart.outcome(1)), (Outcome::Solved, Outcome::Failed));
    assert!(cart.client.message(1).unwrap().1.contains("infeasible"), "{:?}", cart.client.message(1));
    cart.client.reset(&[1]).unwrap();
    cart.round(&[1], &[[0.0, 0.0, 0.0, 0.0]]);
    assert_eq!(cart.outcome(1), Outcome::Solved);
}

#[test]
fn single_precision_does_too() {
    let cluster = LocalCluster::start_group::<LinearMpc>(config(3, POLE, Real::F32), "linear_mpc");
    let mut cluster = cluster.unwrap();
    let mut client = cluster.client().unwrap();
    let ticket = client.trigger(Rows::All).unwrap();
    cluster.serve();
    assert!(client.wait(ticket, Wait::default()).unwrap().all_solved());
}

#[test]
fn what_is_wrong_is_refused_by_its_name() {
    let refused = |change: &dyn Fn(&mut toml::Table)| {
        let mut config = config(1, CART, Real::F64);
        change(&mut config.params);
        LocalCluster::start_group::<LinearMpc>(config, "linear_mpc").map(drop).unwrap_err().to_string()
    };
    let with = |name: &str, value: &str| {
        let value: toml::Table = toml::from_str(&format!("value = {value}")).unwrap();
        refused(&|params| drop(params.insert(name.into(), value["value"].clone())))
    };
    let cases = [
        ("states", "[]", "states: name at least one"),
        (
            "states",
            r#"["joint_q.cart", "joint_q.wheel"]"#,
            "states[1]: joint_q.wheel: no such element; there are pole, cart",
        ),
        ("states", r#"["joint_q.cart", "joint_w.cart"]"#, "no such field of the state; it has root_pos"),
        ("states", r#"["joint_q[2]", "joint_v.cart"]"#, "it has elements 0 to 1"),
        ("states", r#"["joint_q", "joint_v.cart"]"#, "say which, as in joint_q[0]"),
        ("states", r#"["joint_q.cart", "joint_q.cart"]"#, "states: joint_q.cart is named twice"),
        ("inputs", r#"["gravity[0]"]"#, "inputs[0]: gravity[0]: no such field of the cmd"),
        ("A", "[[1, 0.1]]", "A: 1 rows of [2] numbers where 2 rows of 2 are due"),
        ("B", "[[nan], [0.1]]", "B[0][0] is nan"),
        ("c", "[1]", "c: 1 numbers where 2 are due"),
        ("Q", "[-1, 0]", "Q: weight 0 is -1"),
        ("Q", "[0, 0]", "Q: all weights are 0"),
        ("Q", "[[1, 2], [0, 1]]", "not symmetric"),
        ("R", "[0]", "R: weight 0 is 0"),
        ("Qf", "[1]", "Qf: 1 numbers where 2 are due"),
        ("horizon", "0", "horizon is 0; it must be 1 to 10000"),
        ("horizon", "1000000", "horizon is 1000000"),
        ("u_min", "[2]", "u_min: element 0 is 2, above the 1 of u_max"),
        ("x_max", "[inf, 1]", "x_max[0] is inf; it must be a finite number"),
        ("x_max", "[nan, 1]", "x_max[0] is nan"),
        ("x_max", r#"[-1, "none"]"#, "the bounds cannot be met even from x_ref"),
        ("x_soft", "{ l2 = 0 }", "x_soft: l1 = 0, l2 = 0"),
        ("rows", "[{ max = 1 }]", "rows[0]: give factors"),
        ("rows", "[{ x = [1], max = 1 }]", "rows[0].x: 1 numbers where 2 are due"),
        ("x_ref", "[0]", "x_ref: 1 numbers where 2 are due"),
        ("dt", "0.0", "dt is 0 s; it must be above 0 s"),
        ("disturbance_gain", "2", "disturbance_gain is 2; it must be above 0, at most 1"),
        ("lanes", "3", "lanes is 3; it must be 0, 1, 4 or 8"),
        ("method", r#""magic""#, "method"),
        ("max_iterations", "0", "max_iterations is 0; it must be 1 to 100000"),
        ("tolerance", "1.0", "tolerance is 1; it must be 1e-12 to 0.1"),
        ("speed", "1", "speed"),
    ];
    for (name, value, says) in cases {
        let error = with(name, value);
        assert!(error.contains(says), "{name} = {value}: {error}");
    }
    let missing = refused(&|params| drop(params.remove("R")));
    assert!(missing.contains("R: is missing: give 1 weights"), "{missing}");
    let varying = refused(&|params| {
        let each = vec![params["A"].clone(); 20];
        params.insert("A".into(), each.into());
        params.insert("offset_free".into(), true.into());
    });
    assert!(varying.contains("offset_free: needs one A"), "{varying}");
}
