//! Robots walk, in all gaits, under pushes and loads, from one gait to another; and in any company as alone.

mod herd;
mod physics;

use herd::{DT, Walk, config, gait, pass, put, robot, round, show, start, tell};
use phalanx::{Bool, ClusterServer, Controller, Outcome, Real, Rows, robot::RobotSpec};
use physics::{Physics, State};

/// Rows stand for so long, speed up for so long, and are then watched, s.
const SETTLE: f64 = 0.3;
const RAMP: f64 = 0.7;
const WATCHED_FROM: f64 = 2.0;
const END: f64 = 4.0;

/// What a row does: gait, command, push to the left, N, mass that it carries, kg, whether it feels its feet.
struct Trial {
    gait: i32,
    command: [f32; 3],
    push: f64,
    load: f64,
    feels: bool,
    refs: &'static [(&'static str, f32)],
}

fn trial(gait: i32, command: [f32; 3]) -> Trial {
    Trial { gait, command, push: 0.0, load: 0.0, feels: false, refs: &[] }
}

/// Walks one robot per trial, and says how it went.
fn walk(trials: &[Trial]) -> Vec<Walk> {
    let mut cluster = start(config(trials.len()));
    let mut client = cluster.client().unwrap();
    let loaded = |trial: &Trial| {
        let mut robot = robot();
        robot.links[0].mass = robot.links[0].mass.map(|mass| mass + trial.load);
        Physics::new(&robot)
    };
    let mut worlds: Vec<Physics> = trials.iter().map(loaded).collect();
    let height = worlds[0].state().pos[2];
    let mut walks = vec![Walk::default(); trials.len()];
    for tick in 0..(END / DT) as usize {
        let time = tick as f64 * DT;
        for (row, (trial, world)) in trials.iter().zip(&mut worlds).enumerate() {
            let share = ((time - SETTLE) / RAMP).clamp(0.0, 1.0) as f32;
            let [forward, left, turn] = trial.command.map(|part| share * part);
            tell(&mut client, row, "lin_vel", &[forward, left]);
            tell(&mut client, row, "yaw_rate", &[turn]);
            gait(&mut client, row, trial.gait);
            trial.refs.iter().for_each(|(name, value)| tell(&mut client, row, name, &[*value]));
            let pushed = (1.5..1.6 - 1e-9).contains(&time);
            world.push([0.0, if pushed { trial.push } else { 0.0 }, 0.0]);
            show(&mut client, row, world.state());
            if trial.feels {
                let felt: Vec<f64> = world.contact_forces().flatten().collect();
                put(&mut client, row, "contact_force", &felt);
            }
        }
        let report = round(&mut cluster, &mut client);
        assert_eq!(report.count(Outcome::Failed), 0, "at {time} s: {:?}", client.message(0));
        pass(&client, &mut worlds);
        if time >= WATCHED_FROM {
            let height = |trial: &Trial| {
                trial
                    .refs
                    .iter()
                    .find(|(name, _)| *name == "base_height")
                    .map_or(height, |told| told.1.into())
            };
            for ((walk, world), trial) in walks.iter_mut().zip(&worlds).zip(trials) {
                walk.note(world.state(), height(trial));
            }
        }
    }
    walks
}

/// Speeds within a share of what is told, height within 6 mm, roll and pitch within `tilt` degrees.
fn assert_walks(trials: &[Trial], share: f64, tilt: f64) {
    for (trial, walk) in trials.iter().zip(walk(trials)) {
        let [forward, left, turn] = trial.command.map(f64::from);
        let speed = forward.hypot(left);
        let within = |off: f64, asked: f64| off <= share * if asked > 0.0 { asked } else { 1.0 };
        let told = format!("{:?} in gait {}: {walk:?}", trial.command, trial.gait);
        assert!(within((walk.mean[0] - forward).hypot(walk.mean[1] - left), speed), "{told}");
        assert!(within((walk.mean[2] - turn).abs(), turn.abs()), "{told}");
        assert!(walk.off[0] <= 0.006, "{told}");
        assert!(walk.off[1].max(walk.off[2]) <= tilt.to_radians(), "{told}");
    }
}

#[test]
fn trots_as_fast_as_told() {
    assert_walks(
        &[
            trial(1, [0.0, 0.0, 0.0]),
            trial(1, [0.5, 0.0, 0.0]),
            trial(1, [1.0, 0.0, 0.0]),
            trial(1, [1.5, 0.0, 0.0]),
            trial(1, [-0.5, 0.0, 0.0]),
            trial(1, [0.0, 0.4, 0.0]),
            trial(1, [0.0, 0.0, 1.5]),
            trial(1, [0.3, 0.2, 0.5]),
        ],
        0.02,
        3.0,
    );
}

#[test]
fn stands_walks_paces_and_bounds() {
    assert_walks(
        &[
            trial(0, [0.0, 0.0, 0.0]),
            trial(2, [0.3, 0.0, 0.0]),
            trial(2, [0.0, 0.0, 0.5]),
            trial(3, [0.3, 0.0, 0.0]),
            trial(4, [0.3, 0.0, 0.0]),
            trial(5, [0.3, 0.0, 0.0]),
        ],
        0.03,
        5.0,
    );
}

#[test]
fn lower_with_longer_steps_more_duty_and_a_load() {
    assert_walks(
        &[
            Trial { refs: &[("base_height", 0.25)], ..trial(1, [0.4, 0.0, 0.0]) },
            Trial { refs: &[("gait_period", 0.5), ("duty", 0.6)], ..trial(1, [0.4, 0.0, 0.0]) },
            Trial { refs: &[("friction", 0.3), ("swing_height", 0.1)], ..trial(1, [0.4, 0.0, 0.0]) },
            Trial { refs: &[("phase", 0.5)], ..trial(1, [0.4, 0.0, 0.0]) },
            Trial { feels: true, ..trial(1, [0.4, 0.0, 0.0]) },
            Trial { load: 3.0, ..trial(1, [0.4, 0.0, 0.0]) },
            Trial { load: 3.0, refs: &[("payload", 3.0)], ..trial(1, [0.4, 0.0, 0.0]) },
        ],
        0.02,
        3.0,
    );
}

#[test]
fn pushes_are_caught() {
    let pushed = |push| Trial { push, ..trial(1, [0.5, 0.0, 0.0]) };
    for walk in walk(&[pushed(40.0), pushed(-40.0), pushed(80.0), pushed(-80.0)]) {
        // It stays up, and comes back to its speed.
        assert!(walk.off[0] < 0.02 && walk.off[1].max(walk.off[2]) < 0.1, "{walk:?}");
        assert!((walk.mean[0] - 0.5).abs() < 0.05, "{walk:?}");
    }
}

/// From full speed ahead to full speed back in one round, pushed meanwhile.
#[test]
fn jumps_of_the_command_do_not_fell_it() {
    let mut cluster = start(config(3));
    let mut client = cluster.client().unwrap();
    let mut worlds: Vec<Physics> = (0..3).map(|_| Physics::new(&robot())).collect();
    for tick in 0..500 {
        let way = if tick % 200 < 100 { 1.5 } else { -1.5 };
        let push = if tick % 100 < 10 { 40.0 } else { 0.0 };
        let commands = [([way, 0.0], 0.0), ([0.0, 0.4 * way], 0.0), ([way, 0.2 * way], way)];
        for (row, (world, (velocity, turn))) in worlds.iter_mut().zip(commands).enumerate() {
            tell(&mut client, row, "lin_vel", &velocity);
            tell(&mut client, row, "yaw_rate", &[turn]);
            world.push([0.0, push, 0.0]);
            show(&mut client, row, world.state());
        }
        assert!(round(&mut cluster, &mut client).all_solved());
        pass(&client, &mut worlds);
        for (row, world) in worlds.iter().enumerate() {
            let mut walk = Walk::default();
            walk.note(world.state(), 0.298);
            assert!(walk.off[0] < 0.04 && walk.off[1].max(walk.off[2]) < 0.25, "row {row}, {tick}: {walk:?}");
        }
    }
}

#[test]
fn from_standing_to_walking_and_back() {
    let mut cluster = start(config(1));
    let mut client = cluster.client().unwrap();
    let mut world = Physics::new(&robot());
    let height = world.state().pos[2];
    let gaits = [0, 1, 0, 2, 1, 3, 1, 4, 0, 0];
    for tick in 0..gaits.len() * 80 {
        let now = gaits[tick / 80];
        gait(&mut client, 0, now);
        tell(&mut client, 0, "lin_vel", &[0.3, 0.0]);
        show(&mut client, 0, world.state());
        round(&mut cluster, &mut client);
        pass(&client, std::slice::from_mut(&mut world));
        let mut walk = Walk::default();
        walk.note(world.state(), height);
        assert!(walk.off[0] < 0.03 && walk.off[1].max(walk.off[2]) < 0.2, "gait {now} at {tick}: {walk:?}");
        let told = client.followed.as_ref().unwrap().read("lin_vel", 0).unwrap();
        if tick % 80 == 79 {
            assert_eq!(told[0] == 0.0, now == 0, "a robot that stands does not go");
        }
    }
    let mut walk = Walk::default();
    walk.note(world.state(), height);
    assert!(walk.mean[0].abs() < 0.02, "it came to rest: {walk:?}");
}

/// What rows with commands of their own do in some rounds, in a cluster of so many workers.
fn journey(rows: std::ops::Range<usize>, workers: usize) -> Vec<Vec<State>> {
    let count = rows.len();
    let mut config = config(count);
    config.cpu.workers = Some(workers);
    let program = Controller::program(env!("CARGO_BIN_EXE_phalanx-quadruped-srbd")).unwrap();
    let server = ClusterServer::start(config, program).unwrap();
    let mut client = server.client().unwrap();
    let mut worlds: Vec<Physics> = (0..count).map(|_| Physics::new(&robot())).collect();
    let mut seen = vec![Vec::new(); count];
    for tick in 0..60 {
        for (i, row) in rows.clone().enumerate() {
            let part = row as f32 / 17.0;
            tell(&mut client, i, "lin_vel", &[part, 0.2 - 0.3 * part]);
            tell(&mut client, i, "yaw_rate", &[1.0 - 2.0 * part]);
            gait(&mut client, i, (row % 5) as i32);
            worlds[i].push([0.0, if tick == 30 { 10.0 * row as f64 } else { 0.0 }, 0.0]);
            show(&mut client, i, worlds[i].state());
        }
        let report = client.solve(Rows::All).unwrap();
        assert!(report.all_solved(), "round {tick}: {:?}", report.outcomes());
        pass(&client, &mut worlds);
        seen.iter_mut().zip(&worlds).for_each(|(seen, world)| seen.push(world.state().clone()));
    }
    seen
}

#[test]
fn in_any_company_as_alone() {
    let all = journey(0..17, 1);
    assert_eq!(all, journey(0..17, 3), "by three workers");
    for row in [0, 7, 16] {
        assert_eq!(journey(row..row + 1, 1)[0], all[row], "row {row} alone");
    }
    assert!(all[3] != all[8], "they do different things");
}

/// Steps that are taken one at a time, when told.
#[test]
fn feet_step_when_their_flags_are_down() {
    let mut cluster = start(config(1));
    let mut client = cluster.client().unwrap();
    let mut world = Physics::new(&robot());
    let height = world.state().pos[2];
    let flags = client.refs.handle::<Bool>("contact_flags").unwrap();
    gait(&mut client, 0, 5);
    tell(&mut client, 0, "duty", &[1.0]);
    tell(&mut client, 0, "gait_period", &[0.4]);
    let mut highest = [0.0f64; 4];
    for tick in 0..200 {
        let told = (tick % 50 == 10).then_some(tick / 50);
        let up: [Bool; 4] = std::array::from_fn(|foot| Bool::from(Some(foot) != told));
        client.refs.get_mut(flags, 0).copy_from_slice(&up);
        show(&mut client, 0, world.state());
        assert!(round(&mut cluster, &mut client).all_solved());
        pass(&client, std::slice::from_mut(&mut world));
        world.feet().zip(&mut highest).for_each(|(at, most)| *most = most.max(at[2]));
    }
    assert!(highest.iter().all(|most| (0.04..0.09).contains(most)), "{highest:?}");
    let mut walk = Walk::default();
    walk.note(world.state(), height);
    assert!(walk.off[0] < 0.005 && walk.off[1].max(walk.off[2]) < 0.02, "{walk:?}");
}

#[test]
fn what_it_says_of_its_plan_holds() {
    for real in [Real::F32, Real::F64] {
        let mut config = config(1);
        config.real = real;
        let mut cluster = start(config);
        let mut client = cluster.client().unwrap();
        let mut world = Physics::new(&robot());
        gait(&mut client, 0, 0);
        for _ in 0..100 {
            show(&mut client, 0, world.state());
            round(&mut cluster, &mut client);
            pass(&client, std::slice::from_mut(&mut world));
        }
        show(&mut client, 0, world.state());
        assert!(round(&mut cluster, &mut client).all_solved());
        let near = |a: &[f64], b: &[f64], off: f64| {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < off), "{a:?} {b:?}");
        };
        let plan = client.prediction.as_ref().unwrap();
        let of = |name: &str| plan.read(name, 0).unwrap();
        // The first node is now.
        near(&of("root_pos")[..3], &world.state().pos, 1e-5);
        near(&of("root_quat")[..4], &world.state().quat, 1e-5);
        near(&of("root_lin_vel")[..3], &world.state().lin, 1e-5);
        near(&of("time"), &std::array::from_fn::<f64, 11, _>(|node| 0.03 * node as f64), 1e-6);
        // It carries its weight, and the floor says so too.
        let forces = client.cmd.read("contact_force", 0).unwrap();
        let up = |forces: &[f64]| forces.chunks(3).map(|force| force[2]).sum::<f64>();
        near(&[up(&forces)], &[world.mass() * 9.81], 0.5);
        near(&of("contact_force")[..12], &forces, 1e-5);
        near(&forces, &world.contact_forces().flatten().collect::<Vec<_>>(), 1.5);
        let status = client.status.of(0);
        near(&[of("node_cost").iter().sum()], &[status.cost], 1e-4);
        near(&[of("cost_terms").iter().sum()], &[status.cost], 1e-4);
        assert!((1..40).contains(&status.iterations) && status.violation < 1e-3);
    }
}

#[test]
fn a_reset_row_begins_anew() {
    let mut cluster = start(config(2));
    let mut client = cluster.client().unwrap();
    let start = Physics::new(&robot()).state().clone();
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut worlds: Vec<Physics> = (0..2).map(|_| Physics::new(&robot())).collect();
        let mut seen = Vec::new();
        for _ in 0..40 {
            for (row, world) in worlds.iter().enumerate() {
                tell(&mut client, row, "lin_vel", &[0.7, 0.1]);
                show(&mut client, row, world.state());
            }
            round(&mut cluster, &mut client);
            pass(&client, &mut worlds);
            seen.push(worlds[0].state().clone());
        }
        runs.push(seen);
        client.reset(Rows::Ids(&[0])).unwrap();
    }
    assert_ne!(runs[0][39], start);
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn any_robot_whose_file_has_four_legs() {
    // The same robot with its joints in another order, and its feet too.
    let mut names: Vec<String> = robot().joint_names().map(Into::into).collect();
    names.reverse();
    let other: RobotSpec =
        robot().with_joint_order(&names).unwrap().with_contacts(["RR", "FL", "RL", "FR"]).unwrap();
    let mut config = config(1);
    config.robot = other.clone();
    let mut cluster = start(config);
    let mut client = cluster.client().unwrap();
    let mut world = Physics::new(&other);
    let mut walk = Walk::default();
    for tick in 0..300 {
        tell(&mut client, 0, "lin_vel", &[0.5, 0.0]);
        show(&mut client, 0, world.state());
        round(&mut cluster, &mut client);
        pass(&client, std::slice::from_mut(&mut world));
        if tick >= 150 {
            walk.note(world.state(), 0.298);
        }
    }
    assert!((walk.mean[0] - 0.5).abs() < 0.02, "{walk:?}");
    assert!(walk.off[0] < 0.006, "{walk:?}");
}
