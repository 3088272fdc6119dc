//! Our quadruped, read from its file, against what MuJoCo 4.0.0 says of the same file, and what is refused.

use phalanx::robot::RobotSpec;
use phalanx_ocp::rigid::{Moving, Tree, Twist, Workspace};
use phalanx_ocp::vec3::{V3, cross, norm, scale, sub};
use phalanx_quadruped_srbd::tree::{TreeRefused, contact, legs, tree};

const FEET: [&str; 4] = ["FL", "FR", "RL", "RR"];

/// Off the homing, per joint, in rad.
const OFF: [f64; 12] = [0.1, -0.2, 0.3, -0.4, 0.25, 0.15, -0.15, 0.35, -0.3, 0.2, -0.1, 0.05];

/// Velocities of the joints and of the base, in rad/s and m/s.
const V: [f64; 12] = [0.5, -1.0, 1.5, 2.0, -0.5, 1.0, -1.5, 0.7, -0.3, 1.1, -2.0, 0.9];
const BASE: Twist = Twist { lin: [0.3, -0.2, 0.1], ang: [0.5, -0.7, 0.9] };

const GRAVITY: V3 = [0.0, 0.0, -9.81];

fn robot() -> RobotSpec {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/robot/quadruped.xml");
    RobotSpec::from_mjcf(file).unwrap().with_contacts(FEET).unwrap()
}

/// The robot off its homing.
fn scene() -> (RobotSpec, Tree, Workspace, [f64; 12]) {
    let robot = robot();
    let tree = tree(&robot).unwrap();
    let mut work = tree.workspace();
    let q = std::array::from_fn(|joint| robot.joints[joint].homing + OFF[joint]);
    tree.place(&mut work, &q);
    (robot, tree, work, q)
}

fn near(a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>) -> bool {
    let [a, b] = [a.into_iter().collect::<Vec<_>>(), b.into_iter().collect()];
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 2e-8)
}

#[test]
fn the_file_says_what_controllers_need() {
    let robot = robot();
    let names: Vec<String> =
        FEET.iter().flat_map(|leg| ["hip", "thigh", "calf"].map(|part| format!("{leg}_{part}"))).collect();
    assert!(robot.joint_names().eq(names.iter().map(String::as_str)));
    let homing: Vec<f64> = robot.joints.iter().map(|joint| joint.homing).collect();
    assert_eq!(homing, [0.0, 0.8, -1.6].repeat(4));
    assert!(robot.joints.iter().all(|joint| joint.limits.unwrap().effort == Some(33.5)));
    assert!((robot.mass.unwrap() - 12.6).abs() < 1e-12);
    assert!(
        robot.links.iter().all(|link| link.joint.is_none() || (link.armature, link.damping) == (0.01, 0.5))
    );
    assert!(FEET.iter().all(|foot| contact(&robot, foot).unwrap().radius == 0.02));
}

#[test]
fn feet_are_where_mujoco_says_and_move_so() {
    let (robot, tree, work, _) = scene();
    for (foot, pos, speed) in [
        ("FL", [0.198915043, 0.163325931, -0.307960867], [0.457162174, 0.304689888, 0.202602210]),
        ("FR", [0.087399023, -0.235778452, -0.228228769], [0.629611750, 0.400287327, -0.450029588]),
        ("RL", [-0.229225036, 0.096968378, -0.238176913], [0.263728948, -0.633532228, -0.014492637]),
        ("RR", [-0.161587456, -0.073691840, -0.296171631], [1.024775965, 0.146804015, -0.169881594]),
    ] {
        let at = contact(&robot, foot).unwrap();
        assert!(near(tree.point(&work, at.link, at.pos), pos), "{foot}");
        assert!(near(tree.velocity(&work, &BASE, &V, at.link, at.pos), speed), "{foot}");
    }
    let mut columns = [[0.0; 3]; 12];
    let right = contact(&robot, "FR").unwrap();
    tree.jacobian(&work, right.link, right.pos, &mut columns);
    let [hip, thigh, calf] = [columns[3], columns[4], columns[5]];
    assert!(near(hip, [0.0, 0.228228769, -0.188778452]));
    assert!(near(thigh, [-0.283726408, 0.037228774, 0.088054331]));
    assert!(near(calf, [-0.184212199, -0.030329329, -0.071735609]));
    assert_eq!(columns[0], [0.0; 3]);
}

#[test]
fn weights_and_forces_are_mujocos() {
    let (_, tree, mut work, _) = scene();
    let all = tree.composite(&work);
    assert!((all.mass - 12.6).abs() < 1e-12);
    assert!(near(all.com, [-0.012138457, 0.000000206, -0.017252835]));
    assert!(near(
        all.inertia.concat(),
        [
            [0.136886173, -0.000123382, -0.024539636],
            [-0.000123382, 0.347224770, 0.002706252],
            [-0.024539636, 0.002706252, 0.385472258]
        ]
        .concat()
    ));

    let mut matrix = [0.0; 18 * 18];
    tree.mass_matrix(&mut work, &mut matrix);
    let x: [f64; 18] = std::array::from_fn(|i| 0.1 * i as f64 - 0.8);
    let times = matrix.chunks(18).map(|row| row.iter().zip(&x).map(|(m, x)| m * x).sum::<f64>());
    assert!(near(
        times,
        [
            -10.101096142,
            -8.811525707,
            -7.641185170,
            -0.194338628,
            -0.026711333,
            -0.024532648,
            -0.115966721,
            0.031105659,
            0.019213818,
            0.032763756,
            0.010257872,
            0.029193150,
            -0.083014250,
            0.003067853,
            0.034440734,
            0.003801520,
            0.057674843,
            0.035903726
        ]
    ));

    // MuJoCo holds the velocity of the base in the world, we that in the base: what it calls no acceleration turns.
    let moving = Moving { base: BASE, v: &V, gravity: GRAVITY };
    let turning = Twist { lin: scale(-1.0, cross(BASE.ang, BASE.lin)), ang: [0.0; 3] };
    let mut efforts = [0.0; 12];
    let wrench = tree.inverse_dynamics(&mut work, &moving, &turning, &[0.0; 12], &mut efforts);
    assert!(near(wrench.force, [0.816392828, 1.583020374, 124.562821129]));
    assert!(near(wrench.torque, [0.100270878, 1.482738940, -0.113032327]));
    assert!(near(
        efforts,
        [
            0.918643581,
            0.285947339,
            -0.154610480,
            -0.922415133,
            0.521939304,
            -0.103353643,
            0.725183515,
            0.422464329,
            -0.173123697,
            -0.573367667,
            0.273361546,
            -0.208748211
        ]
    ));
}

#[test]
fn legs_are_found_by_contact_in_any_order_of_joints() {
    let (robot, tree_, _, q) = scene();
    let all = legs(&robot, &tree_).unwrap();
    let sides = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)];
    for (index, (leg, (x, y))) in all.iter().zip(sides).enumerate() {
        assert_eq!(leg.joints(), [3 * index, 3 * index + 1, 3 * index + 2]);
        assert!(near(leg.hip(), [x * 0.183, y * 0.047, 0.0]));
        assert!(near(leg.shoulder(), [x * 0.183, y * 0.132, 0.0]));
        let foot = leg.foot(leg.pick(&q));
        let home = [0.0, 0.8, -1.6];
        let found = leg.reach(foot, home);
        assert!(found.residual < 1e-8 && norm(sub(found.q, leg.pick(&q))) < 1e-6, "{found:?}");
    }

    let mut order: Vec<String> = robot.joint_names().map(str::to_owned).collect();
    order.reverse();
    let turned = robot.clone().with_joint_order(&order).unwrap();
    let tree_turned = tree(&turned).unwrap();
    let all_turned = legs(&turned, &tree_turned).unwrap();
    let reversed: Vec<f64> = q.iter().rev().copied().collect();
    for (leg, same) in all.iter().zip(&all_turned) {
        assert_eq!(same.joints(), leg.joints().map(|joint| 11 - joint));
        assert_eq!(same.foot(same.pick(&reversed)), leg.foot(leg.pick(&q)));
    }
}

#[test]
fn what_is_no_quadruped_is_refused_by_name() {
    let refused = |robot: &RobotSpec| {
        let tree = tree(robot)?;
        legs(robot, &tree).map(|_| ())
    };
    let named = RobotSpec::new("dog", ["a"]).unwrap();
    assert!(matches!(refused(&named), Err(TreeRefused::NoLinks { robot }) if robot == "dog"));
    let mut unknown = robot();
    unknown.links[5].mass = None;
    let error = refused(&unknown).unwrap_err().to_string();
    assert!(error.contains("FR_thigh") && error.contains("<inertial>"), "{error}");
    let error = refused(&robot().with_contacts(["FL", "tail"]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("\"tail\"") && error.contains("FR_calf"), "{error}");
    let error = refused(&robot().with_contacts(["FL", "imu"]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("\"imu\"") && error.contains("\"trunk\"") && error.contains("3"), "{error}");
    let locked = robot().with_joint_order(&["FL_hip", "FL_thigh", "FL_calf", "FR_calf"]).unwrap();
    let error = refused(&locked).unwrap_err().to_string();
    assert!(error.contains("\"FR\"") && error.contains("1 joint"), "{error}");
    let mut two = robot();
    two.links[9].parent = None;
    let error = refused(&two).unwrap_err().to_string();
    assert!(error.contains("trunk, "), "{error}");
}
