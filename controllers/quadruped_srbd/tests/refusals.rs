//! What is refused, when, and in which words; and what no input can do.

mod herd;
mod physics;

use herd::{config, gait, robot, round, show, start, tell};
use phalanx::{Bool, ClusterConfig, LocalCluster, Outcome, Policy, robot::RobotSpec};
use phalanx_quadruped_srbd::{NAME, QuadrupedSrbd};
use physics::{Physics, State};

fn refused(config: ClusterConfig) -> String {
    LocalCluster::start_group::<QuadrupedSrbd>(config, NAME).expect_err("it is refused").to_string()
}

fn says(config: ClusterConfig, words: &[&str]) {
    let said = refused(config);
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is missing in {said:?}"));
}

fn with_robot(robot: RobotSpec) -> ClusterConfig {
    let mut config = config(1);
    config.robot = robot;
    config
}

#[test]
fn parameters_by_name() {
    says(config(1).param("horizon", 0), &["horizon is 0", "1 to 64"]);
    says(config(1).param("horizon", 1_000_000), &["horizon is 1000000"]);
    says(config(1).param("mpc_dt", -0.03), &["mpc_dt is -0.03"]);
    says(config(1).param("mpc_dt", f64::NAN), &["mpc_dt is nan"]);
    says(config(1).param("horizont", 10), &["horizont", "horizon"]);
    says(config(1).param("lanes", 7), &["lanes is 7", "1, 4 or 8"]);
    let leg: toml::Table = toml::from_str("reach = 7.0").unwrap();
    says(config(1).param("leg", leg), &["leg.reach is 7"]);
}

#[test]
fn robots_that_are_no_quadrupeds() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let bare = RobotSpec::new("bare", names).unwrap().with_contacts(["FL", "FR", "RL", "RR"]).unwrap();
    says(with_robot(bare), &["bare", "no links", "URDF or MJCF"]);
    says(with_robot(robot().with_contacts(["FL", "FR"]).unwrap()), &["2 contacts", "FL, FR", "params.legs"]);
    let hands = robot().with_contacts(["FL", "FR", "RL", "hand"]).unwrap();
    says(with_robot(hands), &["hand", "FL"]);
    let trunk = robot().with_contacts(["FL", "FR", "RL", "trunk"]).unwrap();
    says(with_robot(trunk), &["trunk", "0 joints", "3"]);
    let mut light = robot();
    light.links.iter_mut().for_each(|link| link.inertia = [0.0; 6]);
    light.links.iter_mut().filter(|link| link.joint.is_some()).for_each(|link| link.mass = Some(1e-12));
    says(with_robot(light), &["inertia"]);
    let mut straight = robot();
    straight.joints.iter_mut().for_each(|joint| (joint.limits, joint.homing) = (None, 0.0));
    says(with_robot(straight), &["stretched out", "homing"]);
    let mut lying = robot();
    lying.joints.iter_mut().filter(|joint| joint.name.contains("thigh")).for_each(|joint| {
        joint.limits = None;
        joint.homing = 3.0;
    });
    says(with_robot(lying), &["homing", "stand"]);
}

#[test]
fn legs_by_name() {
    let legs = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<toml::Value>>();
    for wrong in [&["FL", "FR", "RL"][..], &["FL", "FR", "RL", "XX"], &["FL", "FR", "RL", "RL"]] {
        let said = refused(config(1).param("legs", legs(wrong)));
        assert!(
            said.contains(&format!("{wrong:?}")) && said.contains(r#"["FL", "FR", "RL", "RR"]"#),
            "{said}"
        );
    }
    start(config(1).param("legs", legs(&["FL", "FR", "RL", "RR"])));
}

#[test]
fn rows_that_cannot_be_helped_say_why() {
    let mut config = config(5);
    config.check_inputs = false;
    config.policy = Policy::Safe;
    let mut cluster = start(config);
    let mut client = cluster.client().unwrap();
    let world = Physics::new(&robot());
    let upright = world.state().clone();
    for row in 0..5 {
        show(&mut client, row, &upright);
    }
    assert!(round(&mut cluster, &mut client).all_solved());
    let mut fallen = upright.clone();
    fallen.quat = [0.5, 0.8, 0.1, 0.1];
    show(&mut client, 0, &fallen);
    let mut wild = upright.clone();
    wild.v[3] = f64::NAN;
    show(&mut client, 1, &wild);
    let mut far = upright.clone();
    far.pos[0] = 1e9;
    show(&mut client, 2, &far);
    gait(&mut client, 3, 6);
    tell(&mut client, 4, "gait_period", &[f32::NAN]);
    let report = round(&mut cluster, &mut client);
    assert_eq!(report.count(Outcome::Failed), 5);
    for (row, why) in
        [(0, "fallen"), (1, "joint_v"), (2, "root_pos"), (3, "gait is none of 0 stand"), (4, "not finite")]
    {
        let (_, said) = client.message(row).unwrap();
        assert!(said.contains(why), "{why:?} is missing in {said:?}");
        // Its safe command holds the posture at rest.
        let told = herd::command(&client, row);
        assert_eq!(told.q, upright.q);
        assert!(told.stiffness.iter().chain(&told.damping).all(|&gain| gain > 0.0));
        assert_eq!(told.effort, [0.0; 12]);
    }
}

/// A generator of numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Mostly within ±1, sometimes far off, rarely no number.
    fn number(&mut self) -> f64 {
        let value = 2.0 * self.roll() - 1.0;
        match (100.0 * self.roll()) as u32 {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => 1e30 * value,
            3..10 => 1e3 * value,
            10..20 => 0.0,
            20..40 => 10.0 * value,
            _ => value,
        }
    }
}

#[test]
fn no_input_makes_a_command_that_is_none() {
    const ROWS: usize = 16;
    let mut config = config(ROWS);
    config.check_inputs = false;
    let mut cluster = start(config);
    let mut client = cluster.client().unwrap();
    let calm = Physics::new(&robot()).state().clone();
    let mut dice = Dice(1);
    let (mut answered, mut failed) = (0, 0);
    for _ in 0..400 {
        for row in 0..ROWS {
            let mut state = calm.clone();
            // From a nudge to nonsense.
            let wild = dice.roll().powi(8);
            let State { pos, quat, lin, ang, q, v } = &mut state;
            let all = pos.iter_mut().chain(quat).chain(lin).chain(ang).chain(q).chain(v);
            all.for_each(|number| *number += wild * dice.number());
            show(&mut client, row, &state);
            gait(&mut client, row, (6.2 * dice.roll()) as i32);
            for name in ["yaw_rate", "base_height", "roll", "pitch", "gait_period", "duty", "swing_height"] {
                tell(&mut client, row, name, &[(wild * dice.number()) as f32]);
            }
            for name in ["phase", "friction", "payload", "ground"] {
                tell(&mut client, row, name, &[(wild * dice.number()) as f32]);
            }
            tell(&mut client, row, "lin_vel", &[dice.number() as f32, dice.number() as f32]);
            let known = client.refs.handle::<Bool>("ground_known").unwrap();
            client.refs.get_mut(known, row)[0] = Bool::from(dice.number() > 0.0);
        }
        let report = round(&mut cluster, &mut client);
        assert_eq!(report.count(Outcome::Late) + report.count(Outcome::Dead), 0);
        answered += report.count(Outcome::Solved) + report.count(Outcome::Degraded);
        failed += report.count(Outcome::Failed);
        let rows: Vec<usize> = report.rows(Outcome::Failed).collect();
        for row in 0..ROWS {
            let told = herd::command(&client, row);
            assert!(told.v.iter().all(|speed| speed.abs() <= 50.0), "{:?}", told.v);
            assert!(told.effort.iter().all(|effort| effort.abs() <= 33.5), "{:?}", told.effort);
            let all = [told.q, told.v, told.effort, told.stiffness, told.damping];
            assert!(all.iter().flatten().all(|value| value.is_finite()));
        }
        for &row in &rows {
            let (_, said) = client.message(row).unwrap();
            assert!(!said.contains("panic") && !said.contains("bad output"), "{said}");
        }
        client.reset(&rows[..]).unwrap();
    }
    assert!(answered > 1000 && failed > 1000, "{answered} answered, {failed} failed");
}

#[test]
fn refs_out_of_range_are_clamped_and_told() {
    let brisk: toml::Table = toml::from_str("acceleration = 1000.0").unwrap();
    let mut cluster = start(config(1).param("body", brisk));
    let mut client = cluster.client().unwrap();
    show(&mut client, 0, Physics::new(&robot()).state());
    tell(&mut client, 0, "lin_vel", &[30.0, 40.0]);
    tell(&mut client, 0, "base_height", &[9.0]);
    tell(&mut client, 0, "friction", &[-1.0]);
    tell(&mut client, 0, "roll", &[1.0]);
    for _ in 0..3 {
        assert!(round(&mut cluster, &mut client).all_solved());
    }
    let followed = |name: &str| client.followed.as_ref().unwrap().read(name, 0).unwrap();
    assert_eq!(followed("lin_vel"), [6.0, 8.0]);
    assert!((0.35..0.42).contains(&followed("base_height")[0]), "{:?}", followed("base_height"));
    assert!((followed("friction")[0] - 0.05).abs() < 1e-6 && followed("roll") == [0.5]);
    assert!((followed("gait_period")[0] - 0.3).abs() < 1e-6 && followed("duty") == [0.5], "the gait's own");
}
