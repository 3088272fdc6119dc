//! `phalanx replay` and `phalanx diff`, as users type them.

mod common;

use common::{Ran, Served, command, finish, name, phalanx};
use phalanx::{
    Bool, ClusterClient, ClusterConfig, LocalCluster, Observer, Policy, Real, Result, Rows, Wait, dump::Dump,
    robot::RobotSpec,
};
use phalanx_cartpole::CartPoleMpc;
use phalanx_echo::Echo;
use phalanx_faulty::{Fault, Faulty};
use phalanx_linear_mpc::LinearMpc;
use phalanx_mppi::Mppi;
use phalanx_quadrotor::QuadrotorMpc;
use phalanx_quadruped_srbd::QuadrupedSrbd;
use phalanx_record::{RecordOptions, Recorder};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

type Start = fn(ClusterConfig, &str) -> Result<LocalCluster>;

/// A cluster on this thread whose rows are recorded, with a little chance to make states of.
struct Film {
    cluster: LocalCluster,
    client: ClusterClient,
    chance: u64,
    folder: TempDir,
}

const ROWS: usize = 3;

impl Film {
    fn of(start: Start, controller: &str, config: ClusterConfig) -> Self {
        let cluster = start(config, controller).unwrap();
        let client = cluster.client().unwrap();
        Self { cluster, client, chance: 7, folder: tempfile::tempdir().unwrap() }
    }

    fn chance(&mut self, size: f64) -> f64 {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        size * ((self.chance >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    }

    /// Joint positions and velocities of all rows, around their defaults.
    fn shake(&mut self, size: f64) {
        for row in 0..self.client.rows() {
            for name in ["joint_q", "joint_v", "root_lin_vel"] {
                let home = self.client.state.record().field(name).unwrap().clone();
                for i in 0..home.len() {
                    let centre = home.default.get(i).or(home.default.first()).copied().unwrap_or(0.0);
                    let value = centre + self.chance(size);
                    if let Ok(handle) = self.client.state.handle::<f64>(name) {
                        self.client.state.get_mut(handle, row)[i] = value;
                    } else {
                        let handle = self.client.state.handle::<f32>(name).unwrap();
                        self.client.state.get_mut(handle, row)[i] = value as f32;
                    }
                }
            }
        }
    }

    fn tell(&mut self, row: usize, name: &str, value: f32) {
        let handle = self.client.refs.handle::<f32>(name).unwrap();
        self.client.refs.get_mut(handle, row).fill(value);
    }

    fn round(&mut self, rows: Rows<'_>) {
        let ticket = self.client.trigger(rows).unwrap();
        self.cluster.serve();
        let _ = self.client.wait(ticket, Wait::default()).unwrap();
    }

    fn rounds(&mut self, count: usize, size: f64) {
        for _ in 0..count {
            self.shake(size);
            self.round(Rows::All);
        }
    }

    fn dump(&self, row: usize) -> PathBuf {
        let path = self.folder.path().join(format!("row{row}-{}.json", self.client.round()));
        Dump::of(&Observer::attach(self.client.name()).unwrap(), row).unwrap().save(&path).unwrap();
        path
    }
}

impl Film {
    /// From now on, into a file.
    fn record(&self, fields: &[&str]) -> (Recorder, PathBuf) {
        let path = self.folder.path().join("film.mcap");
        let fields = fields.iter().map(|&field| field.into()).collect();
        let options = RecordOptions { fields, ..RecordOptions::default() };
        let observer = Observer::attach(self.client.name()).unwrap();
        (Recorder::start(observer, &path, &options).unwrap(), path)
    }

    /// The dump, and what keeps its folder.
    fn dump_kept(self, row: usize) -> (TempDir, PathBuf) {
        let path = self.dump(row);
        (self.folder, path)
    }
}

fn config(rows: usize, joints: &[&str]) -> ClusterConfig {
    ClusterConfig::new(&name(), rows, RobotSpec::new("robot", joints.iter().copied()).unwrap())
}

fn quadruped(rows: usize) -> ClusterConfig {
    let robot = RobotSpec::from_mjcf_str(phalanx_quadruped_srbd::ROBOT).unwrap();
    ClusterConfig::new(&name(), rows, robot.with_contacts(["FL", "FR", "RL", "RR"]).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn replayed(path: &Path, more: &[&str]) -> Ran {
    phalanx(&[&["replay", text(path), "--json"], more].concat())
}

/// Of a row in the middle, with a reset on the way: the same to the last bit, in every field.
#[track_caller]
fn is_exact(film: &Film) -> serde_json::Value {
    let ran = replayed(&film.dump(1), &[]).ok().json();
    assert_eq!(ran["same"], true, "{ran}");
    assert_eq!(ran["replay"]["rows"][0]["warmth"]["kind"], "whole", "{ran}");
    assert_eq!(ran["replay"]["fields"].as_array().unwrap().len(), 0, "{ran}");
    ran
}

#[test]
fn every_builtin_answers_again_what_it_answered() {
    let cart = r#"
        states = ["joint_q.cart", "joint_v.cart"]
        inputs = ["joint_effort.cart"]
        A = [[1, 0.1], [0, 1]]
        B = [[0.005], [0.1]]
        Q = [1, 0.1]
        R = [0.01]
        horizon = 20
        u_min = [-1]
        u_max = [1]"#;
    let pole = |config: ClusterConfig| {
        let (control_dt, cluster_dt) = (0.02, 0.02);
        ClusterConfig { control_dt, cluster_dt, ..config }
    };
    let linear = ClusterConfig { params: toml::from_str(cart).unwrap(), ..config(ROWS, &["pole", "cart"]) };
    let cases: [(&str, Start, ClusterConfig); 6] = [
        ("echo", LocalCluster::start::<Echo>, config(ROWS, &["knee"])),
        ("cartpole", LocalCluster::start_group::<CartPoleMpc>, pole(config(ROWS, &["cart", "pole"]))),
        ("linear_mpc", LocalCluster::start_group::<LinearMpc>, linear),
        ("mppi", LocalCluster::start::<Mppi>, pole(config(ROWS, &["cart", "pole"])).param("samples", 64)),
        ("quadrotor", LocalCluster::start_group::<QuadrotorMpc>, pole(config(ROWS, &["a", "b", "c", "d"]))),
        ("quadruped_srbd", LocalCluster::start_group::<QuadrupedSrbd>, quadruped(ROWS)),
    ];
    for (controller, start, config) in cases {
        for real in [Real::F32, Real::F64] {
            let config = ClusterConfig { real, name: name(), ..config.clone() };
            let mut film = Film::of(start, controller, config);
            film.rounds(8, 0.1);
            film.client.reset(Rows::Ids(&[1])).unwrap();
            film.rounds(7, 0.1);
            // Not every round asks every row.
            film.round(Rows::Ids(&[0, 2]));
            film.rounds(3, 0.1);
            let ran = is_exact(&film);
            let row = &ran["replay"]["rows"][0];
            assert_eq!([&row["solves"], &row["same"], &row["resets"]], [18, 18, 1], "{controller} {ran}");
            assert_eq!(ran["replay"]["then"]["failed"], ran["replay"]["now"]["failed"]);
        }
    }
}

#[test]
fn refs_are_fed_as_they_were_given_not_as_they_were_followed() {
    // The quadruped's speed approaches what it is told, and is shown in the refs.
    let mut film = Film::of(LocalCluster::start_group::<QuadrupedSrbd>, "quadruped_srbd", quadruped(ROWS));
    for round in 0..30 {
        film.tell(1, "lin_vel", 0.7);
        film.tell(1, "yaw_rate", if round > 12 { -0.3 } else { 0.2 });
        film.rounds(1, 0.02);
    }
    let path = film.dump(1);
    let dump = Dump::load(&path).unwrap();
    let first = &dump.rounds[1];
    assert_ne!(first.refs, first.given_refs, "what is followed is what was given: this tests nothing");
    is_exact(&film);
}

#[test]
fn an_operators_values_are_fed_as_the_controller_saw_them() {
    let mut film = Film::of(LocalCluster::start::<Faulty>, "faulty", config(ROWS, &["knee"]));
    film.rounds(2, 0.1);
    let operator = phalanx::Operator::attach(film.client.name()).unwrap();
    operator.set(1, &[("pattern", &[42.0])]).unwrap();
    film.rounds(2, 0.1);
    drop(operator);
    film.rounds(2, 0.1);
    is_exact(&film);
}

#[test]
fn a_failed_solve_fails_again_in_the_same_words() {
    let faults = [
        (Fault::Fail, "no feasible step"),
        (Fault::Panic, "singular matrix in row 1"),
        (Fault::Nan, "joint_effort"),
        (Fault::Degrade, "iteration cap"),
    ];
    for policy in [Policy::Hold, Policy::Safe] {
        for (fault, says) in faults {
            let config = ClusterConfig { policy, ..config(ROWS, &["knee"]) };
            let mut film = Film::of(LocalCluster::start::<Faulty>, "faulty", config);
            film.rounds(3, 0.1);
            film.tell(1, "fault", f32::from(fault as u8));
            film.rounds(1, 0.1);
            film.tell(1, "fault", 0.0);
            // It is not asked before it is reset.
            film.rounds(1, 0.1);
            let path = film.dump(1);
            let said = Dump::load(&path).unwrap().message.unwrap();
            assert!(said.text.contains(says), "{said:?}");
            film.client.reset(Rows::Ids(&[1])).unwrap();
            film.rounds(2, 0.1);
            is_exact(&film);
            // That one, as people see it.
            let ran = phalanx(&["replay", text(&path), "--round", "4"]).ok();
            let lines: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with("said ")).collect();
            assert!(lines.len() == 2 && lines.iter().all(|line| line.contains(says)), "{ran:?}");
        }
    }
}

#[test]
fn bad_inputs_are_bad_again() {
    let mut film = Film::of(LocalCluster::start::<Echo>, "echo", config(ROWS, &["knee"]));
    film.rounds(2, 0.1);
    film.tell(1, "bias", f32::NAN);
    film.round(Rows::All);
    let ran = is_exact(&film);
    assert_eq!([&ran["replay"]["then"]["failed"], &ran["replay"]["now"]["failed"]], [1, 1]);
}

#[test]
fn what_differs_is_told_by_name_and_place() {
    let pole = config(ROWS, &["cart", "pole"]);
    let pole = ClusterConfig { control_dt: 0.02, cluster_dt: 0.02, ..pole };
    let mut film = Film::of(LocalCluster::start_group::<CartPoleMpc>, "cartpole", pole);
    film.rounds(6, 0.1);
    let path = film.dump(2);
    let ran = replayed(&path, &["--param", "max_force=0.5"]).failed(1, &[]).json();
    let row = &ran["replay"]["rows"][0];
    assert_eq!((&ran["same"], &row["row"]), (&false.into(), &2.into()));
    let fields = ran["replay"]["fields"].as_array().unwrap();
    let effort = fields.iter().find(|field| field["name"] == "cmd.joint_effort").expect("the force differs");
    assert_eq!(effort["element"], "cart");
    assert!(effort["max_abs"].as_f64().unwrap() > 0.0 && effort["b"].as_f64().unwrap().abs() <= 0.5 + 1e-6);
    assert_eq!(effort["first"]["round"], row["first_difference"]);
    // A tolerance that is wide enough forgives it all.
    let ran = replayed(&path, &["--param", "max_force=0.5", "--tolerance", "1e9"]).ok().json();
    assert_eq!(ran["same"], true);
    // And for people.
    let ran = phalanx(&["replay", text(&path), "--param", "max_force=0.5"]).failed(1, &[]);
    for says in ["differs", "row 2", "cmd.joint_effort", "max_force=0.5", "solve time p50", "THEN"] {
        assert!(ran.stdout.contains(says), "no {says}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("NaN"), "{}", ran.stdout);
}

#[test]
fn a_file_that_begins_in_mid_life_says_that_its_past_is_not_whole() {
    let pole = config(ROWS, &["cart", "pole"]);
    let mut pole = ClusterConfig { control_dt: 0.02, cluster_dt: 0.02, ..pole }.param("samples", 64);
    pole.history.rounds = 8;
    let mut film = Film::of(LocalCluster::start::<Mppi>, "mppi", pole);
    film.rounds(30, 0.1);
    let path = film.dump(1);
    let ran = replayed(&path, &[]).failed(1, &[]).json();
    let row = &ran["replay"]["rows"][0];
    assert_eq!((&row["warmth"]["kind"], &row["warmth"]["before"]), (&"middle".into(), &22.into()));
    assert_eq!((&row["expected"], &row["solves"]), (&false.into(), &8.into()));
    let ran = phalanx(&["replay", text(&path)]).failed(1, &[]);
    assert!(ran.stdout.contains("after 22 solves") && ran.stdout.contains("expected"), "{}", ran.stdout);
    // From a reset on it is whole again.
    film.client.reset(Rows::All).unwrap();
    film.rounds(8, 0.1);
    // The first of the file is the reset's; but from the one before nobody can know.
    let ran = replayed(&film.dump(1), &[]).ok().json();
    assert_eq!(ran["replay"]["rows"][0]["warmth"]["kind"], "middle");
}

#[test]
fn one_solve_is_shown_with_and_without_its_past() {
    let pole = config(ROWS, &["cart", "pole"]);
    let pole = ClusterConfig { control_dt: 0.02, cluster_dt: 0.02, ..pole };
    let mut film = Film::of(LocalCluster::start_group::<CartPoleMpc>, "cartpole", pole);
    film.rounds(6, 0.1);
    let path = film.dump(0);
    let ran = replayed(&path, &["--round", "5"]).ok().json();
    assert_eq!(ran["replay"]["rows"][0]["solves"], 5);
    let solve = &ran["solves"][0];
    assert_eq!((&solve["round"], &solve["same"], &solve["row"]), (&5.into(), &true.into(), &0.into()));
    assert_eq!(solve["then"]["cost"], solve["now"]["cost"]);
    let ran = replayed(&path, &["--round", "5", "--cold"]);
    let ran = ran.json();
    assert_eq!((&ran["replay"]["rows"][0]["solves"], &ran["solves"][0]["round"]), (&1.into(), &5.into()));
    assert_eq!(ran["replay"]["rows"][0]["warmth"]["kind"], "cold");
    let shown = phalanx(&["replay", text(&path), "--round", "5"]).ok().stdout;
    assert!(shown.contains("cmd.joint_effort[cart]") && shown.contains("iterations"), "{shown}");
    phalanx(&["replay", text(&path), "--round", "99"]).failed(2, &["no round 99 of row 0", "rounds 1 to 6"]);
    phalanx(&["replay", text(&path), "--cold"]).failed(2, &["--round"]);
}

#[test]
fn seeds_of_resets_are_given_by_the_user() {
    let pole = config(ROWS, &["cart", "pole"]);
    let pole = ClusterConfig { control_dt: 0.02, cluster_dt: 0.02, ..pole }.param("samples", 64);
    let mut film = Film::of(LocalCluster::start::<Mppi>, "mppi", pole);
    film.client.reset_seeded(Rows::All, Some(11)).unwrap();
    film.rounds(5, 0.1);
    let path = film.dump(1);
    let ran = phalanx(&["replay", text(&path)]).failed(1, &[]);
    assert!(ran.stdout.contains("--seed"), "{}", ran.stdout);
    phalanx(&["replay", text(&path), "--seed", "12"]).failed(1, &[]);
    phalanx(&["replay", text(&path), "--seed", "11"]).ok();
}

#[test]
fn a_program_answers_in_a_worker_as_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("my_mpc");
    let script =
        format!("#!/bin/sh\nPHALANX_CONTROLLER=mppi exec {} \"$@\"\n", env!("CARGO_BIN_EXE_phalanx"));
    std::fs::write(&program, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let pole = config(40, &["cart", "pole"]);
    let pole = ClusterConfig { control_dt: 0.02, cluster_dt: 0.02, ..pole }.param("samples", 64);
    let mut film = Film::of(LocalCluster::start::<Mppi>, "my_mpc", pole);
    film.rounds(4, 0.1);
    let path = film.dump(17);
    phalanx(&["replay", text(&path)]).failed(2, &["my_mpc", "--controller"]);
    // The noise of a row is its own: it must be built as row 17.
    let ran = replayed(&path, &["--controller", text(&program)]).ok().json();
    assert_eq!((&ran["same"], &ran["in_process"]), (&true.into(), &false.into()));
    assert_eq!(ran["replay"]["controller"], "my_mpc");
    // The builtin of the same kind does as well.
    phalanx(&["replay", text(&path), "--controller", "mppi"]).ok();
}

#[test]
fn a_controller_that_dies_in_a_solve_is_told() {
    let mut film = Film::of(LocalCluster::start::<Echo>, "echo", config(ROWS, &["knee"]));
    film.rounds(3, 0.1);
    let path = film.dump(1);
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("crash");
    let script =
        format!("#!/bin/sh\nPHALANX_CONTROLLER=faulty exec {} \"$@\"\n", env!("CARGO_BIN_EXE_phalanx"));
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let params = ["fault=kill", "stage=solving", "row=1", "round=2"].map(|param| ["--param", param]).concat();
    let args = [&["replay", text(&path), "--controller", text(&program)], &params[..]].concat();
    phalanx(&args).failed(1, &["ended in round 2"]);
}

#[test]
fn bad_files_and_bad_wishes_end_with_one_sentence() {
    let mut film = Film::of(LocalCluster::start::<Echo>, "echo", config(ROWS, &["knee"]));
    film.rounds(2, 0.1);
    let path = film.dump(1);
    let whole = std::fs::read(&path).unwrap();
    let bad = film.folder.path().join("bad.json");
    let write = |bytes: &[u8]| std::fs::write(&bad, bytes).unwrap();
    for command in ["replay", "diff"] {
        let run = |file: &str| {
            let files =
                if command == "diff" { vec![command, file, text(&path)] } else { vec![command, file] };
            phalanx(&files)
        };
        run("/no/such/file").failed(2, &["/no/such/file"]);
        write(b"hello");
        run(text(&bad)).failed(2, &["bad.json"]);
        write(&whole[..whole.len() / 2]);
        run(text(&bad)).failed(2, &["bad.json"]);
        let lacks = String::from_utf8(whole.clone()).unwrap().replace("\"offset\"", "\"onset\"");
        write(lacks.as_bytes());
        run(text(&bad)).failed(2, &["bad.json"]);
    }
    phalanx(&["replay", text(&path), "--row", "7"]).failed(2, &["no row 7", "it has 1"]);
    phalanx(&["diff", text(&path), text(&path), "--row", "7"]).failed(2, &["no row 7"]);
    phalanx(&["replay", text(&path), "--param", "busy=1"]).failed(2, &["busy"]);
    phalanx(&["replay", text(&path), "--param", "busy_us=-1"]).failed(2, &["busy_us"]);
    phalanx(&["replay", text(&path), "--tolerance", "x"]).failed(2, &["tolerance"]);
    phalanx(&["replay", text(&path), "--controller", "ehco"]).failed(2, &["did you mean echo"]);
    let mut config = config(1, &["knee"]);
    config.history.rounds = 0;
    let mut film = Film::of(LocalCluster::start::<Echo>, "echo", config);
    film.rounds(2, 0.1);
    phalanx(&["replay", text(&film.dump(0))]).failed(2, &["--history", "no inputs"]);
}

#[test]
fn another_build_is_fed_what_it_has_in_common_with_the_file() {
    let mut film = Film::of(LocalCluster::start::<Echo>, "echo", config(ROWS, &["knee"]));
    film.rounds(3, 0.1);
    let ran = replayed(&film.dump(1), &["--controller", "faulty"]).failed(1, &[]).json();
    let lines: Vec<_> = ran["replay"]["schema"].as_array().unwrap().iter().map(|l| l.to_string()).collect();
    assert!(lines.iter().any(|line| line.contains("refs.bias: only in the file")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("refs.pattern: only in this build")), "{lines:?}");
    let fields = ran["replay"]["fields"].as_array().unwrap();
    assert!(fields.iter().all(|field| field["name"] != "cmd.joint_q"), "both echo positions: {ran}");
}

#[test]
fn a_cluster_of_processes_is_replayed_too() {
    let served = Served::echo(4);
    let mut client = served.client();
    let q = client.state.handle::<f32>("joint_q").unwrap();
    for round in 0..5 {
        for row in 0..4 {
            client.state.get_mut(q, row).fill(round as f32 + 0.1 * row as f32);
        }
        client.solve(Rows::All).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.json");
    phalanx(&["dump", &served.name, "--row", "3", "--out", text(&path)]).ok();
    let ran = phalanx(&["replay", text(&path)]).ok();
    assert!(ran.stdout.contains("same") && ran.stdout.contains("all 5 answers"), "{}", ran.stdout);
}

#[test]
fn debug_says_how_to_attach_and_goes_on_where_nobody_can() {
    let mut film = Film::of(LocalCluster::start::<Echo>, "echo", config(ROWS, &["knee"]));
    film.rounds(3, 0.1);
    let ran = phalanx(&["replay", text(&film.dump(1)), "--debug", "--round", "2"]).ok();
    assert!(
        ran.stderr.contains("round 2 is solved next by process") && ran.stderr.contains("gdb"),
        "{ran:?}"
    );
}

#[test]
fn ctrl_c_ends_a_replay_and_leaves_nothing() {
    let mut film = Film::of(LocalCluster::start::<Echo>, "echo", config(1, &["knee"]));
    film.rounds(20, 0.1);
    let path = film.dump(0);
    let args = ["replay", text(&path), "--param", "busy_us=200000"];
    let child = command(&args).spawn().unwrap();
    let pid = child.id();
    let arena = phalanx_shm::ArenaName::new(&format!("replay-{pid}")).unwrap().path();
    assert!(common::until(|| arena.exists()));
    common::kill(pid, nix::sys::signal::Signal::SIGINT);
    finish(child, &args).failed(1, &["interrupted"]);
    assert!(!arena.exists());
}

#[test]
fn diff_tells_the_simulator_from_the_controller() {
    let film = |change: &dyn Fn(&mut Film, usize), busy: f64| {
        let mut film =
            Film::of(LocalCluster::start::<Faulty>, "faulty", config(ROWS, &["knee"]).param("seconds", busy));
        for round in 1..=6 {
            film.shake(0.1);
            change(&mut film, round);
            film.round(Rows::All);
        }
        film
    };
    let plain = film(&|_, _| {}, 0.0);
    let diff = |a: &Film, b: &Film, more: &[&str]| {
        let (a, b) = (a.dump(1), b.dump(1));
        phalanx(&[&["diff", text(&a), text(&b), "--json"], more].concat())
    };
    let again = film(&|_, _| {}, 0.0);
    let ran = diff(&plain, &again, &[]).ok().json();
    assert_eq!((&ran["difference"]["pairs"], &ran["difference"]["same"]), (&6.into(), &6.into()));
    // Another simulator: the state differs first.
    let shoved = film(
        &|film, round| {
            if round == 4 {
                let q = film.client.state.handle::<f32>("joint_q").unwrap();
                film.client.state.get_mut(q, 1)[0] += 0.5;
            }
        },
        0.0,
    );
    let ran = diff(&plain, &shoved, &[]).failed(1, &[]).json();
    let parting = &ran["difference"]["partings"][0];
    assert_eq!((&parting["culprit"], &parting["round_a"]), (&"inputs".into(), &4.into()), "{ran}");
    assert_eq!(parting["fields"][0], "state.joint_q");
    diff(&plain, &shoved, &["--tolerance", "1"]).ok();
    // Another answer to the same inputs.
    let (_folder, other) = film(&|_, _| {}, 0.0).dump_kept(1);
    let mut dump = Dump::load(&other).unwrap();
    let cmd = dump.rounds[4].cmd.as_mut().unwrap().get_mut("joint_effort").unwrap();
    cmd[0] = phalanx::dump::Number::Real(3.0);
    dump.save(&other).unwrap();
    let a = plain.dump(1);
    let ran = phalanx(&["diff", text(&a), text(&other), "--json"]).failed(1, &[]).json();
    let parting = &ran["difference"]["partings"][0];
    assert_eq!((&parting["culprit"], &parting["round_a"]), (&"controller".into(), &5.into()), "{ran}");
    // Other settings are told.
    let busy = film(&|_, _| {}, 0.5);
    let ran = diff(&plain, &busy, &[]).failed(1, &[]).json();
    assert_eq!(ran["difference"]["config"][0], "params.seconds: 0.0 in A, 0.5 in B");
    let (a, b) = (plain.dump(1), shoved.dump(1));
    let ran = phalanx(&["diff", text(&a), text(&b)]).failed(1, &[]);
    for says in ["differs", "inputs", "state.joint_q", "round 4", "simulator"] {
        assert!(ran.stdout.contains(says), "no {says}: {}", ran.stdout);
    }
}

#[test]
fn diff_aligns_by_round_or_by_serial() {
    let film = |late: usize| {
        let mut film = Film::of(LocalCluster::start::<Echo>, "echo", config(ROWS, &["knee"]));
        for _ in 0..late {
            film.round(Rows::Ids(&[0]));
        }
        film.rounds(5, 0.1);
        film
    };
    let (a, b) = (film(0).dump_kept(1), film(3).dump_kept(1));
    let files = [text(&a.1), text(&b.1)];
    let ran = phalanx(&["diff", files[0], files[1], "--json"]).failed(1, &[]).json();
    assert_eq!((&ran["difference"]["pairs"], &ran["difference"]["same"]), (&2.into(), &0.into()), "{ran}");
    assert_eq!(ran["difference"]["sides"][0]["alone"], 3);
    let ran = phalanx(&["diff", files[0], files[1], "--json", "--align", "serial"]).ok().json();
    assert_eq!((&ran["difference"]["pairs"], &ran["difference"]["same"]), (&5.into(), &5.into()));
    phalanx(&["diff", files[0], files[1], "--align", "sim"]).failed(2, &["no simulated times"]);
}

#[test]
fn truth_values_are_fed_as_such() {
    let mut film = Film::of(LocalCluster::start::<Faulty>, "faulty", config(ROWS, &["knee"]));
    let valid = film.client.refs.handle::<Bool>("valid").unwrap();
    film.client.refs.get_mut(valid, 1)[0] = false.into();
    film.rounds(3, 0.1);
    is_exact(&film);
}

/// Rounds here take microseconds; all of them are to be at hand when the recorder looks.
fn at_length(mut config: ClusterConfig) -> ClusterConfig {
    (config.history.rounds, config.history.budget_mib) = (1024, 256);
    config
}

#[test]
fn recordings_of_whole_lives_are_replayed_row_by_row_and_all_at_once() {
    let mut film =
        Film::of(LocalCluster::start_group::<QuadrupedSrbd>, "quadruped_srbd", at_length(quadruped(ROWS)));
    let (recorder, path) = film.record(&[]);
    for round in 0..40 {
        (0..ROWS).for_each(|row| film.tell(row, "lin_vel", 0.2 * row as f32));
        if round == 20 {
            film.client.reset(Rows::Ids(&[2])).unwrap();
        }
        film.rounds(1, 0.02);
    }
    assert_eq!(recorder.stop().unwrap().counts.answers, 120);
    let ran = replayed(&path, &[]).ok().json();
    assert_eq!(ran["same"], true);
    let rows = ran["replay"]["rows"].as_array().unwrap();
    let counts: Vec<_> = rows.iter().map(|row| (row["same"].as_u64(), row["resets"].as_u64())).collect();
    assert_eq!(counts, [(Some(40), Some(0)), (Some(40), Some(0)), (Some(40), Some(1))]);
    let ran = replayed(&path, &["--row", "0,2"]).ok().json();
    assert_eq!(ran["replay"]["rows"].as_array().unwrap().len(), 2);
    let ran = replayed(&path, &["--row", "2", "--param", "weights.force=1e-3"]).failed(1, &[]).json();
    assert_eq!(ran["replay"]["rows"][0]["expected"], true, "{ran}");
    replayed(&path, &["--row", "3"]).failed(2, &["no row 3", "0-2"]);
}

#[test]
fn a_recording_that_was_cut_is_replayed_as_far_as_it_goes() {
    let mut film = Film::of(LocalCluster::start::<Echo>, "echo", at_length(config(ROWS, &["knee"])));
    let (recorder, path) = film.record(&[]);
    film.rounds(20, 0.1);
    recorder.stop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 40]).unwrap();
    let ran = phalanx(&["replay", text(&path)]).ok();
    assert!(ran.stdout.contains("lacks") && ran.stdout.contains("all 60 answers"), "{}", ran.stdout);
    std::fs::write(&path, &whole[..30]).unwrap();
    phalanx(&["replay", text(&path)]).failed(2, &["film.mcap"]);
}

#[test]
fn everything_a_row_said_is_compared() {
    let mut film = Film::of(LocalCluster::start::<Faulty>, "faulty", at_length(config(ROWS, &["knee"])));
    let (recorder, path) = film.record(&[]);
    for fault in [Fault::Fail, Fault::None, Fault::Panic, Fault::None, Fault::Degrade, Fault::Nan] {
        film.client.reset(Rows::Ids(&[1])).unwrap();
        film.tell(1, "fault", f32::from(fault as u8));
        film.rounds(1, 0.1);
        // Messages are one per row; the recorder is to see each.
        std::thread::sleep(std::time::Duration::from_millis(60));
    }
    recorder.stop().unwrap();
    let ran = replayed(&path, &["--row", "1"]).ok().json();
    assert_eq!([&ran["replay"]["then"]["failed"], &ran["replay"]["now"]["failed"]], [3, 3], "{ran}");
}

#[test]
fn recordings_differ_from_one_another_by_simulated_time() {
    let film = |ahead: usize| {
        let mut film = Film::of(LocalCluster::start::<Echo>, "echo", at_length(config(ROWS, &["knee"])));
        let (recorder, path) = film.record(&[]);
        // Rounds of before, at another time.
        for _ in 0..ahead {
            film.client.set_sim_time(100.0);
            film.round(Rows::Ids(&[0]));
        }
        for step in 0..5 {
            film.client.set_sim_time(0.01 * f64::from(step));
            film.rounds(1, 0.1);
        }
        recorder.stop().unwrap();
        (film, path)
    };
    let (a, b) = (film(0), film(2));
    let files = [text(&a.1), text(&b.1)];
    let by = |align| phalanx(&["diff", files[0], files[1], "--json", "--row", "1,2", "--align", align]);
    let ran = by("sim").ok().json();
    assert_eq!((&ran["difference"]["pairs"], &ran["difference"]["same"]), (&10.into(), &10.into()));
    by("round").failed(1, &[]);
    by("serial").ok();
    // A dump of the same run is the same, where both have the row.
    let dump = a.0.dump(1);
    phalanx(&["diff", files[0], text(&dump), "--row", "1"]).ok();
    let ran = phalanx(&["diff", files[0], text(&dump)]).failed(1, &[]);
    assert!(ran.stdout.contains("rows 0, 2"), "{}", ran.stdout);
}

#[test]
fn a_recording_without_all_inputs_says_what_it_lacks() {
    let mut film = Film::of(LocalCluster::start::<Echo>, "echo", at_length(config(1, &["knee"])));
    let (recorder, path) = film.record(&["cmd", "refs", "state.joint_q"]);
    film.rounds(3, 0.1);
    recorder.stop().unwrap();
    phalanx(&["replay", text(&path)]).failed(2, &["lacks state.", "all fields"]);
    // What is in it can be compared nevertheless.
    phalanx(&["diff", text(&path), text(&path)]).ok();
}
