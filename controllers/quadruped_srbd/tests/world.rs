//! The world of the closed-loop tests, by itself: what stands, what falls, what slides.

mod physics;

use phalanx::robot::RobotSpec;
use phalanx_ocp::vec3::{V3, add, norm, scale, sub};
use physics::{Command, GRAVITY, Physics, State};

/// The simulator's own step, in s.
const DT: f64 = 0.002;

fn robot() -> RobotSpec {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/robot/quadruped.xml");
    RobotSpec::from_mjcf(file).unwrap().with_contacts(["FL", "FR", "RL", "RR"]).unwrap()
}

/// A stiff hold of where the robot is.
fn hold(world: &Physics) -> Command {
    Command { stiffness: vec![400.0; 12], damping: vec![8.0; 12], ..world.rest() }
}

fn run(world: &mut Physics, command: &Command, seconds: f64, dt: f64) -> Vec<State> {
    let states = (0..(seconds / dt).round() as usize).map(|_| {
        world.step(command, dt);
        world.state().clone()
    });
    states.collect()
}

fn floor_force(world: &Physics) -> V3 {
    world.contact_forces().fold([0.0; 3], add)
}

/// The robot at its homing, 3 cm above the floor.
fn dropped(dt: f64) -> (Physics, Vec<State>) {
    let mut world = Physics::new(&robot());
    let mut start = world.state().clone();
    start.pos[2] += 0.03;
    world.set_state(start);
    let command = hold(&world);
    let states = run(&mut world, &command, 4.0, dt);
    (world, states)
}

#[test]
fn what_is_dropped_comes_to_rest_and_weighs_what_it_weighs() {
    let (mut world, states) = dropped(DT);
    let end = world.state().clone();
    // MuJoCo comes to rest at 0.29633 m, pitched by −0.0024 rad, with 28.67 N on each front foot and 33.13 N behind.
    assert!((end.pos[2] - 0.29633).abs() < 3e-4, "{end:?}");
    assert!((2.0 * end.quat[2] + 0.0024).abs() < 3e-4, "{end:?}");
    for (force, expected) in world.contact_forces().zip([28.67, 28.67, 33.13, 33.13]) {
        assert!((force[2] - expected).abs() < 0.1, "{force:?}");
        assert!(force[0].hypot(force[1]) < world.friction * force[2], "{force:?}");
    }
    let weight = world.mass() * norm(GRAVITY);
    let force = floor_force(&world);
    assert!(norm(sub(force, [0.0, 0.0, weight])) < 1e-3 * weight, "{force:?} {weight}");
    assert!(world.feet().all(|foot| (-0.0015..0.0).contains(&foot[2])));
    // It stays where it is, to a micrometre a second.
    let before = &states[states.len() - 500];
    assert!(norm(sub(end.pos, before.pos)) < 1e-6, "{before:?} {end:?}");
    assert!(end.v.iter().all(|v| v.abs() < 1e-6));
}

#[test]
fn runs_repeat_whatever_the_callers_step() {
    let (_, states) = dropped(DT);
    assert_eq!(states, dropped(DT).1);
    let (_, finer) = dropped(0.5 * DT);
    let halves = finer.iter().skip(1).step_by(2);
    for (state, other) in states.iter().zip(halves) {
        assert!(norm(sub(state.pos, other.pos)) < 1e-9);
    }
}

/// Thrown, tumbling, kicking and pushed for 0.2 s. The numbers are MuJoCo's, by Runge-Kutta at 10 µs.
#[test]
fn flies_as_mujoco_says() {
    let mut world = Physics::new(&robot());
    let off = [0.1, -0.2, 0.3, -0.4, 0.25, 0.15, -0.15, 0.35, -0.3, 0.2, -0.1, 0.05];
    let unit = |q: [f64; 4]| q.map(|part| part / q.iter().map(|part| part * part).sum::<f64>().sqrt());
    let mut state = world.state().clone();
    state.q.iter_mut().zip(off).for_each(|(q, off)| *q += off);
    world.set_state(State {
        pos: [0.0, 0.0, 2.0],
        quat: unit([0.9, 0.1, -0.2, 0.3]),
        lin: [0.3, -0.2, 0.1],
        ang: [0.5, -0.7, 0.9],
        v: vec![0.5, -1.0, 1.5, 2.0, -0.5, 1.0, -1.5, 0.7, -0.3, 1.1, -2.0, 0.9],
        ..state
    });
    world.push([3.0, -2.0, 5.0]);
    let command = Command { effort: [0.2, -0.3, 0.1].repeat(4), ..world.rest() };
    run(&mut world, &command, 0.2, DT);
    let end = world.state();
    let near = |a: &[f64], b: &[f64], most: f64| a.iter().zip(b).all(|(a, b)| (a - b).abs() < most);
    // What is missing is what first-order steps of 0.25 ms cost.
    assert!(near(&end.pos, &[0.069067390, -0.009277869, 1.848969134], 4e-4), "{end:?}");
    assert!(near(&end.quat, &[0.863524896, 0.168273668, -0.254209458, 0.401729111], 4e-4), "{end:?}");
    assert!(near(&end.lin, &[-0.810431799, -0.479921066, -1.472438559], 2e-3), "{end:?}");
    assert!(near(&end.ang, &[0.759165356, -0.645379861, 1.002040093], 2e-3), "{end:?}");
    let q = [
        0.161109349,
        0.457240396,
        -1.225515219,
        -0.242385430,
        0.928384082,
        -1.378937360,
        -0.152480534,
        1.081992302,
        -1.858126454,
        0.312297777,
        0.511717425,
        -1.492578985,
    ];
    let v = [
        0.310898763,
        -0.689118951,
        0.212216479,
        0.463338179,
        -0.652739424,
        0.232269136,
        0.354072496,
        -0.585102149,
        0.235053101,
        0.411216079,
        -0.627208939,
        0.227887546,
    ];
    assert!(near(&end.q, &q, 1e-3) && near(&end.v, &v, 2e-3), "{end:?}");
}

#[test]
fn the_floor_answers_a_push_up_to_its_friction() {
    let (mut world, states) = dropped(DT);
    let command = hold(&Physics::new(&robot()));
    let rest = &states[states.len() - 1];
    world.push([0.0, 30.0, 0.0]);
    run(&mut world, &command, 3.0, DT);
    let weight = world.mass() * norm(GRAVITY);
    assert!(norm(sub(floor_force(&world), [0.0, -30.0, weight])) < 0.1, "{:?}", floor_force(&world));
    world.push([0.0; 3]);
    run(&mut world, &command, 3.0, DT);
    assert!(norm(sub(world.state().pos, rest.pos)) < 1e-3, "{:?} {rest:?}", world.state());

    // On ice it slides off: the force that is left accelerates all of it.
    world.friction = 0.1;
    let push = 30.0;
    world.push([0.0, push, 0.0]);
    let states = run(&mut world, &command, 0.6, DT);
    let (early, late) = (&states[199].lin, &states[299].lin);
    let expected = (push - 0.1 * weight) / world.mass();
    let measured = (late[1] - early[1]) / 0.2;
    assert!((measured - expected).abs() < 0.05 * expected, "{measured} {expected}");
}

#[test]
fn motors_give_no_more_than_they_can() {
    let mut robot = robot();
    robot.joints.iter_mut().for_each(|joint| joint.limits.as_mut().unwrap().effort = Some(0.5));
    let mut weak = Physics::new(&robot);
    let command = hold(&weak);
    run(&mut weak, &command, 0.5, DT);
    assert!(weak.state().pos[2] < 0.2, "half a newton metre cannot hold it: {:?}", weak.state().pos);
    // And nothing at all lets it fall as freely as its damped joints do.
    let mut limp = Physics::new(&robot);
    let mut up = limp.state().clone();
    up.pos[2] += 1.0;
    limp.set_state(up.clone());
    run(&mut limp, &Physics::new(&robot).rest(), 0.2, DT);
    let fallen = sub(limp.state().pos, up.pos);
    assert!(norm(sub(fallen, scale(0.5 * 0.2 * 0.2, GRAVITY))) < 2e-3, "{fallen:?}");
}
