//! Faults to survive. Each case is a line of a table that says who did what when, what the others saw, and what
//! was left.

mod common;

use common::{
    Actor, PATIENCE, assert_says, config_of, faulty, is_gone, letters, message, nothing_left,
    scene::{Scene, serve},
    send, set_ref, state_of,
    table::{COLUMNS, Table},
    until, until_stopped, worker_of, workers_of,
};
use nix::sys::signal::Signal;
use phalanx::{
    ClusterClient, ClusterConfig, ClusterServer, Error, Observer, Operator, Outcome, Rows, Wait,
    layout::LifeState,
};
use phalanx_faulty::Fault;
use phalanx_shm::{ArenaName, clock, reclaim};
use std::{io::Write, process::Command, time::Duration};

/// Soon enough to test with, late enough for all healthy rows of a loaded machine.
const SOON: Duration = Duration::from_millis(500);

fn ms(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 * 1e-6
}

/// Two workers with two rows each; the second misbehaves at its second row. The history is so short that what it is
/// writing then is where an older record was.
fn sabotaged(fault: &str, stage: &str, round: i64) -> ClusterConfig {
    let mut config = config_of(4, 2);
    config.history.rounds = 2;
    config.param("fault", fault).param("stage", stage).param("row", 3).param("round", round)
}

/// What is said of a worker that was killed.
fn assert_obituary(text: &str, worker: usize, pid: u32, signal: &str) {
    let worker = format!("worker {worker} (pid {pid})");
    assert_says(text, &[&worker, "rows 2..4", signal, "being replaced", "phalanx logs"]);
}

/// Killed at every stage: its rows are dead, nobody else's are, and they come back as if reset.
#[test]
fn a_worker_is_killed() {
    let mut table = Table::with(COLUMNS);
    for (stage, expected) in [
        ("copying_in", &["SSSD"][..]),
        ("solving", &["SSSD"]),
        ("publishing", &["SSSD"]),
        // It may have come back before it was asked again.
        ("between", &["SSDD", "SSSS"]),
        ("waiting", &["SSDD", "SSSS"]),
    ] {
        let after = matches!(stage, "between" | "waiting");
        let mut scene = Scene::of(sabotaged("kill", stage, 3), "faulty");
        let pid = scene.worker(1).pid;
        assert_eq!([scene.round(), scene.round()], ["SSSS", "SSSS"]);
        if after {
            assert_eq!(scene.round(), "SSSS");
            until("its death", || (scene.worker(1).deaths == 1).then_some(()));
        }
        let asked = clock::now_ns();
        let letters = scene.round();
        assert!(expected.contains(&letters.as_str()), "{stage}: {letters}");
        let text = message(&scene.client, 3, "killed");
        assert_obituary(&text, 1, pid, "SIGKILL");
        assert!(text.contains("while it worked on row 3") != (stage == "waiting"), "{text}");
        let died = scene.worker(1).died_ns;
        if !after {
            let held = scene.client.status.of(3);
            assert_eq!((held.round, held.age, held.outcome), (2, 1, Outcome::Dead as u8));
            let last = scene.observer.latest(3).unwrap().unwrap();
            assert_eq!(last.round, 2, "what it was writing is not there");
        }
        let back = scene.until_all_solve();
        let row = *scene.client.status.of(3);
        assert!(row.solves < scene.client.round() - 2 && row.resets == 0, "a new life: {row:?}");
        assert_eq!(scene.worker(1).generation, 2);
        assert!(scene.client.status.of(0).solves >= 4, "the other worker went on");
        let noticed = if after {
            String::new()
        } else {
            format!(", noticed {:.1} ms after the trigger", ms(asked, died))
        };
        let seen = format!("{letters}{noticed}, rows back {:.0} ms later", ms(died, back));
        table.row(&["worker, SIGKILL", stage, &seen, scene.end()]);
    }

    // While it starts.
    let config = sabotaged("kill", "starting", 0);
    let name = config.name.clone();
    let text = ClusterServer::start(config, faulty()).unwrap_err().to_string();
    assert_says(&text, &["worker 1 (pid ", "SIGKILL", "rows 2..4"]);
    assert!(!text.contains("being replaced"), "{text}");
    table.row(&[
        "worker, SIGKILL",
        "starting",
        "the start fails: worker, rows, pid, signal",
        nothing_left(&name),
    ]);

    // While it starts again.
    let config = config_of(4, 2).param("fault", "slow_build").param("seconds", 0.3).param("row", 3);
    let mut scene = Scene::of(config, "plain");
    scene.round();
    for generation in 1..4 {
        let worker = until("the worker", || {
            let worker = scene.worker(1);
            (worker.generation == generation && worker.pid != 0 && worker.state != LifeState::Dead)
                .then_some(worker)
        });
        assert!(generation == 1 || worker.state == LifeState::Starting);
        send(worker.pid, Signal::SIGKILL);
        until("its death", || (scene.worker(1).deaths == generation).then_some(()));
        assert_eq!(scene.round(), "SSDD");
    }
    scene.until_all_solve();
    table.row(&["worker, SIGKILL", "starting again, twice", "SSDD until the fourth is ready", scene.end()]);
    table.print("A worker is killed (4 rows on 2 workers; S solved, F failed, L late, D dead)");
}

/// Killed from outside, under every kind of host.
#[test]
fn a_worker_of_every_kind_is_killed_in_mid_solve() {
    let mut table = Table::with(COLUMNS);
    for (controller, threads) in [("plain", 1), ("threaded", 2), ("group", 1)] {
        for stopped_first in [false, true] {
            let mut config = config_of(4, 2);
            config.cpu.threads = threads;
            let mut scene = Scene::of(config, controller);
            scene.round();
            let pid = scene.worker(1).pid;
            set_ref(&mut scene.client, "fault", 3, f32::from(Fault::Loop as u8));
            scene.set();
            let ticket = scene.client.trigger(Rows::All).unwrap();
            until("the loop", || scene.worker(1).at_row);
            std::thread::sleep(Duration::from_millis(20));
            if stopped_first {
                send(pid, Signal::SIGSTOP);
                until_stopped(pid);
            }
            let killed = clock::now_ns();
            send(pid, Signal::SIGKILL);
            let report = letters(scene.client.wait(ticket, Wait::default()).unwrap());
            assert!(matches!(report.as_str(), "SSSD" | "SSDD"), "{report}");
            assert_obituary(&message(&scene.client, 3, "killed"), 1, pid, "SIGKILL");
            set_ref(&mut scene.client, "fault", 3, 0.0);
            let died = scene.worker(1).died_ns;
            let back = scene.until_all_solve();
            let who = format!("{controller} worker, SIG{}KILL", if stopped_first { "STOP, " } else { "" });
            let seen = format!(
                "{report}, noticed after {:.1} ms, rows back after {:.0} ms",
                ms(killed, died),
                ms(killed, back)
            );
            table.row(&[who.as_str(), "solving", &seen, scene.end()]);
        }
    }
    table.print("A worker is killed from outside");
}

/// Stopped at every stage: late, not dead; what it answers later is what it was asked, or nothing.
#[test]
fn a_worker_is_stopped_and_continued() {
    let mut table = Table::with(COLUMNS);
    for (stage, letters, answered) in [
        ("copying_in", "SSSL", 2),
        ("solving", "SSSL", 3),
        ("publishing", "SSSL", 3),
        ("between", "SSLL", 3),
        ("waiting", "SSLL", 3),
    ] {
        let after = matches!(stage, "between" | "waiting");
        let mut scene = Scene::of(sabotaged("stop", stage, 3), "faulty");
        let pid = scene.worker(1).pid;
        (0..if after { 3 } else { 2 }).for_each(|_| assert_eq!(scene.round(), "SSSS"));
        if after {
            until_stopped(pid);
        }
        assert_eq!(scene.round_until(SOON), letters, "{stage}");
        until_stopped(pid);
        for age in 2..4 {
            // The inputs change in every round; those it has begun to copy must not.
            let asked = scene.round_until(SOON);
            assert_eq!(asked, "SSLL");
            let row = scene.client.status.of(3);
            assert_eq!((row.age, row.outcome), (age, Outcome::Late as u8));
            assert_eq!(scene.observer.latest(3).unwrap().unwrap().round, if after { 3 } else { 2 });
        }
        send(pid, Signal::SIGCONT);
        scene.until_answered(3);
        scene.until_answered(2);
        let late = scene.observer.latest(3).unwrap().unwrap();
        assert_eq!(late.round, answered, "{stage}");
        scene.check();
        assert_eq!(scene.round(), "SSSS");
        let solves = scene.client.status.of(3).solves;
        assert_eq!(solves, answered + 1, "{stage}: as many as were begun with whole inputs");
        let seen = match stage {
            "copying_in" => "then withdrawn: its torn inputs are not solved",
            "solving" | "publishing" => "then the answer of the round it was asked in",
            _ => "then withdrawn: asked, never begun",
        };
        table.row(&["worker, SIGSTOP, SIGCONT", stage, &format!("{letters}, {seen}"), scene.end()]);
    }

    let config = sabotaged("stop", "starting", 0);
    let name = config.name.clone();
    let starting = std::thread::spawn(move || ClusterServer::start(config, faulty()));
    let stopped = until("the stopped worker", || {
        workers_of(&name).into_iter().find(|&pid| state_of(pid).is_some_and(|(state, _)| state == 'T'))
    });
    assert!(matches!(ClusterClient::connect(&name), Err(Error::Starting { .. })));
    send(stopped, Signal::SIGCONT);
    let server = starting.join().unwrap().unwrap();
    assert!(server.client().unwrap().solve(Rows::All).unwrap().all_solved());
    drop(server);
    table.row(&["worker, SIGSTOP, SIGCONT", "starting", "the start waits for it", nothing_left(&name)]);

    let mut config = sabotaged("stop", "starting", 0);
    config.start_timeout = 1.0;
    let name = config.name.clone();
    let text = ClusterServer::start(config, faulty()).unwrap_err().to_string();
    assert_says(&text, &["worker 1 (pid ", "1 of 2 rows built within start_timeout = 1 s"]);
    table.row(&[
        "worker, SIGSTOP",
        "starting",
        "the start fails at its deadline: worker, pid, rows",
        nothing_left(&name),
    ]);

    let mut scene = Scene::of(config_of(4, 2), "plain");
    let pid = scene.worker(1).pid;
    send(pid, Signal::SIGSTOP);
    until_stopped(pid);
    assert_eq!(scene.round_until(SOON), "SSLL");
    table.row(&["worker, SIGSTOP", "for ever", "SSLL; the close ends it", scene.end()]);
    table.print("A worker is stopped (4 rows on 2 workers; S solved, F failed, L late, D dead)");
}

/// What a controller can do wrong while it solves.
#[test]
fn a_controller_misbehaves() {
    let mut table = Table::with(COLUMNS);
    let cases: [(Fault, [&str; 3], &[&str]); 8] = [
        (Fault::Panic, ["SSSF", "SSSF", "SSFF"], &["the controller panicked: singular matrix in row 3"]),
        (Fault::WrongLength, ["SSSF", "SSSF", "SSFF"], &["panicked", "length"]),
        (Fault::Nan, ["SSSF"; 3], &["bad output: cmd.joint_effort[0] (hip) is NaN"]),
        (Fault::Fail, ["SSSF"; 3], &["the controller gave up: no feasible step"]),
        (Fault::Degrade, ["SSSG"; 3], &["iteration cap"]),
        (Fault::Exit, ["SSSD", "SSSD", "SSDD"], &["worker 1", "exited with code 0", "being replaced"]),
        (Fault::Abort, ["SSSD", "SSSD", "SSDD"], &["worker 1", "SIGABRT", "being replaced"]),
        (Fault::Loop, ["SSSD", "SSSD", "SSDD"], &["worker 1", "SIGKILL", "row ", "being replaced"]),
    ];
    for (fault, expected, says) in cases {
        let mut left = "";
        for (i, controller) in ["plain", "threaded", "group"].into_iter().enumerate() {
            let mut config = config_of(4, 2);
            config.hang_timeout = if fault == Fault::Loop { 1.0 } else { 0.0 };
            config.cpu.threads = if controller == "threaded" { 2 } else { 1 };
            let mut scene = Scene::of(config, controller);
            scene.round();
            set_ref(&mut scene.client, "fault", 3, f32::from(fault as u8));
            let seen = scene.round();
            // With threads, row 2 may still be at work when row 3 takes the process with it.
            let either = controller == "threaded" && seen == "SSDD" && expected[i] == "SSSD";
            assert!(seen == expected[i] || either, "{fault:?} of {controller}: {seen}");
            let text = message(&scene.client, 3, says[0]);
            assert_says(&text, says);
            set_ref(&mut scene.client, "fault", 3, 0.0);
            if fault == Fault::Degrade {
                assert_eq!(scene.round(), "SSSS");
            } else if seen.contains('F') {
                assert_eq!(scene.round(), seen, "until it is reset");
                scene.client.reset(&[2, 3]).unwrap();
                assert_eq!(scene.round(), "SSSS");
            } else {
                scene.until_all_solve();
            }
            left = scene.end();
        }
        let mut seen = expected[0].to_owned();
        if expected[2] != expected[0] {
            seen += &format!(" (group {})", expected[2]);
        }
        let remedy = if seen.contains('F') { "until reset" } else { "at once well again" };
        table.row(&[
            format!("controller, {fault:?}"),
            "solving".into(),
            format!("{seen}, {remedy}: {}", says[0]),
            left.into(),
        ]);
    }

    for (fault, seconds, says) in [
        ("fail_build", 0.0, &["worker 1", "row 3", "the model file has no legs"][..]),
        ("panic_build", 0.0, &["worker 1", "panic: index out of bounds in a model"]),
        ("slow_build", 60.0, &["worker 1", "1 of 2 rows built within start_timeout", "raise it"]),
    ] {
        let mut config = sabotaged(fault, "", 0).param("seconds", seconds);
        config.start_timeout = if seconds > 0.0 { 1.0 } else { 60.0 };
        // A backtrace would fill the last words.
        config.env.insert("RUST_BACKTRACE".into(), "0".into());
        let name = config.name.clone();
        let error = ClusterServer::start(config, faulty()).unwrap_err();
        let Error::Start(start) = &error else { panic!("{error}") };
        assert_eq!((start.worker, start.pid.is_some()), (Some(1), true));
        assert_says(&error.to_string(), says);
        if fault == "panic_build" {
            assert!(start.log.iter().any(|l| l.contains("panicked at")), "{:?}", start.log);
        }
        let seen = format!("the start fails: worker, pid, {:?}", says[says.len() - 1]);
        table.row(&[&format!("controller, {fault}"), "starting", &seen, nothing_left(&name)]);
    }
    table.print("A controller misbehaves (row 3 of 4 on 2 workers; plain, threaded and group)");
}

/// Without respawn, dead is dead until somebody asks for a replacement.
#[test]
fn nothing_is_replaced_where_that_is_switched_off() {
    let mut config = config_of(4, 2);
    config.respawn = false;
    let mut scene = Scene::of(config, "plain");
    scene.round();
    send(scene.worker(1).pid, Signal::SIGKILL);
    until("its death", || (scene.worker(1).state == LifeState::Dead).then_some(()));
    for _ in 0..20 {
        assert_eq!(scene.round(), "SSDD");
    }
    let text = message(&scene.client, 2, "killed");
    assert_says(&text, &["respawn is off", "phalanx restart"]);
    phalanx::orders::restart(&scene.name, &[1]).unwrap();
    scene.until_all_solve();
    scene.end();
}

/// A worker that dies over and over is started less and less often, and never hangs a round.
#[test]
fn a_worker_that_cannot_live_is_tried_with_patience() {
    let mut scene = Scene::of(config_of(4, 2), "plain");
    scene.round();
    let mut deaths = 0;
    while deaths < 4 {
        set_ref(&mut scene.client, "fault", 3, f32::from(Fault::Exit as u8));
        let seen = scene.round();
        assert!(seen == "SSSD" || seen == "SSDD", "{seen}");
        deaths = scene.worker(1).deaths;
    }
    set_ref(&mut scene.client, "fault", 3, 0.0);
    scene.until_all_solve();
    scene.end();
}

/// The server goes, with or without its client.
#[test]
fn a_server_is_killed() {
    let mut table = Table::with(COLUMNS);
    // Embedded: server and client are one process.
    for (when, fault) in
        [("rounds go on", Fault::None), ("a worker hangs", Fault::Loop), ("idle", Fault::None)]
    {
        let config = config_of(4, 2);
        let mut actor = Actor::serving(&config);
        actor.ok(&format!("connect {}", config.name));
        actor.ok("solve");
        let observer = Observer::attach(&config.name).unwrap();
        if fault == Fault::Loop {
            actor.ok(&format!("operate {}", config.name));
            actor.ok(&format!("set 3 fault {}", fault as u8));
            actor.order("solve-for-ever");
            until("the loop", || (observer.round() == 2).then_some(()));
        } else if when != "idle" {
            actor.order("solve-for-ever");
            until("some rounds", || (observer.round() > 20).then_some(()));
        }
        let workers = workers_of(&config.name);
        assert_eq!(workers.len(), 2);
        actor.kill();
        until("the workers' end", || workers.iter().all(|&pid| is_gone(pid)).then_some(()));
        assert!(!observer.is_alive());
        table.row(&[
            "embedded server, SIGKILL",
            when,
            "workers remove the arena and end",
            nothing_left(&config.name),
        ]);
    }

    let config = config_of(4, 2).param("fault", "slow_build").param("row", 3).param("seconds", 60.0);
    let mut actor = Actor::new();
    actor.order(&serve(&config));
    until("both workers", || (workers_of(&config.name).len() == 2).then_some(()));
    actor.kill();
    table.row(&[
        "server, SIGKILL",
        "starting",
        "workers remove the arena and end",
        nothing_left(&config.name),
    ]);

    for when in ["in mid-round", "between rounds", "after all workers"] {
        let config = config_of(4, 2);
        let mut actor = Actor::serving(&config);
        let mut scene = Scene::at(&config.name);
        assert_eq!(scene.round(), "SSSS");
        let error = if when == "in mid-round" {
            set_ref(&mut scene.client, "fault", 3, f32::from(Fault::Loop as u8));
            let ticket = scene.client.trigger(Rows::All).unwrap();
            actor.kill();
            let wait = Wait::until(PATIENCE);
            scene.client.wait(ticket, wait).unwrap_err()
        } else if when == "between rounds" {
            actor.kill();
            until("the error", || scene.client.solve(Rows::All).err())
        } else {
            // The workers' deaths are known before the server's.
            actor.signal(Signal::SIGSTOP);
            workers_of(&config.name).into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
            assert_eq!(scene.round(), "DDDD");
            assert_eq!(scene.round(), "DDDD");
            actor.kill();
            until("the error", || scene.client.solve(Rows::All).err())
        };
        let Error::ServerGone { pid, .. } = error else { panic!("{error}") };
        assert_eq!(pid, actor.pid());
        assert_says(&error.to_string(), &[&config.name, "start it again"]);
        until("the workers' end", || scene.client.solve(Rows::All).err());
        assert!(ClusterClient::connect(&config.name).is_err());
        drop(scene);
        if when == "after all workers" {
            // Nobody was left to remove it.
            let _ = reclaim(&ArenaName::new(&config.name).unwrap(), false);
        }
        let seen = "the client gets ServerGone: name, pid, remedy";
        table.row(&["separate server, SIGKILL", when, seen, nothing_left(&config.name)]);
    }
    table.print("A server is killed");
}

/// A stopped worker cannot notice that its server died; the kernel wakes it.
#[test]
fn a_server_is_killed_while_its_worker_is_stopped() {
    // In a process of its own, for it adopts the orphan, as a container's init would. With a parent in its own
    // session, the kernel does not care for a stopped process.
    if std::env::var_os("PHALANX_ADOPTS").is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "a_server_is_killed_while_its_worker_is_stopped"]).env("PHALANX_ADOPTS", "1");
        let output = again.output().unwrap();
        let _ = std::io::stderr().write_all(&output.stderr);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let config = config_of(4, 2);
    let mut actor = Actor::serving(&config);
    let pid = worker_of(&config.name, 1);
    send(pid, Signal::SIGSTOP);
    until_stopped(pid);
    actor.kill();
    until("the workers' end", || workers_of(&config.name).is_empty().then_some(()));
    while nix::sys::wait::wait().is_ok() {}
    let mut table = Table::with(COLUMNS);
    table.row(&[
        "server, SIGKILL",
        "a worker is stopped",
        "it goes on, and ends",
        nothing_left(&config.name),
    ]);
    table.print("A server is killed while its worker is stopped");
}

/// A stopped server holds up nobody, and what dies meanwhile is found by who waits for it.
#[test]
fn a_server_is_stopped() {
    let mut table = Table::with(COLUMNS);
    let config = config_of(4, 2);
    let mut actor = Actor::serving(&config);
    let mut scene = Scene::at(&config.name);
    actor.signal(Signal::SIGSTOP);
    until_stopped(actor.pid());
    (0..50).for_each(|_| assert_eq!(scene.round(), "SSSS"));
    let observer = Observer::attach(&config.name).unwrap();
    assert!(observer.is_alive());
    let killed = clock::now_ns();
    send(scene.worker(1).pid, Signal::SIGKILL);
    let seen = scene.round();
    let found = clock::now_ns();
    assert_eq!(seen, "SSDD");
    (0..50).for_each(|_| assert_eq!(scene.round(), "SSDD", "dead, not late, and nobody waits for it again"));
    actor.signal(Signal::SIGCONT);
    scene.until_all_solve();
    let seen = format!(
        "SSSS; a worker killed meanwhile: SSDD after {:.0} ms, back after SIGCONT",
        ms(killed, found)
    );
    drop(scene);
    actor.ok("stop");
    table.row(&["server, SIGSTOP, SIGCONT", "rounds go on", &seen, nothing_left(&config.name)]);

    let config = config_of(4, 2);
    let mut actor = Actor::serving(&config);
    let mut scene = Scene::at(&config.name);
    set_ref(&mut scene.client, "fault", 3, f32::from(Fault::Loop as u8));
    let ticket = scene.client.trigger(Rows::All).unwrap();
    actor.signal(Signal::SIGSTOP);
    until_stopped(actor.pid());
    send(scene.worker(1).pid, Signal::SIGKILL);
    let report = letters(scene.client.wait(ticket, Wait::default()).unwrap());
    assert!(report == "SSSD" || report == "SSDD", "{report}");
    actor.signal(Signal::SIGCONT);
    set_ref(&mut scene.client, "fault", 3, 0.0);
    until("all rows", || scene.client.solve(Rows::All).unwrap().all_solved().then_some(()));
    drop(scene);
    actor.ok("stop");
    let seen = format!("{report}, back after SIGCONT");
    table.row(&["server, SIGSTOP; worker, SIGKILL", "in mid-round", &seen, nothing_left(&config.name)]);
    table.print("A server is stopped");
}

/// The cluster outlives its client; the next one goes on where it left.
#[test]
fn a_client_is_killed_or_stopped() {
    let mut table = Table::with(COLUMNS);
    for (when, deed, rounds) in [("in mid-round", "trigger", 2), ("rounds go on", "solve-for-ever", 20)] {
        let config =
            config_of(4, 2).param("fault", "sleep").param("seconds", 0.3).param("row", 3).param("round", 2);
        let mut server = Actor::serving(&config);
        let mut client = Actor::new();
        let observer = Observer::attach(&config.name).unwrap();
        client.ok(&format!("connect {}", config.name));
        client.ok("solve");
        client.order(deed);
        until("its round", || (observer.round() >= rounds).then_some(()));
        let taken = ClusterClient::connect(&config.name).unwrap_err();
        assert!(matches!(taken, Error::ClientTaken { pid, .. } if pid == client.pid()), "{taken}");
        client.kill();
        let round = observer.round();
        let mut next = ClusterClient::connect(&config.name).unwrap();
        assert_eq!(next.round(), round);
        let wait = Wait::until(Duration::from_millis(50));
        let first = letters(next.solve_with(Rows::All, wait).unwrap());
        assert!(!first.contains(['D', 'F']), "{first}");
        until("all rows", || next.solve(Rows::All).unwrap().all_solved().then_some(()));
        assert_eq!(observer.workers().iter().map(|w| w.deaths).sum::<u64>(), 0);
        drop(next);
        server.ok("stop");
        let seen = format!("the next client: {first} at first, then SSSS; rounds numbered on");
        table.row(&["client, SIGKILL", when, &seen, nothing_left(&config.name)]);
    }

    let config = config_of(4, 2);
    let mut server = Actor::serving(&config);
    let mut client = Actor::new();
    client.ok(&format!("connect {}", config.name));
    client.order("solve-for-ever");
    let observer = Observer::attach(&config.name).unwrap();
    until("some rounds", || (observer.round() > 10).then_some(()));
    client.signal(Signal::SIGSTOP);
    until_stopped(client.pid());
    let taken = ClusterClient::connect(&config.name).unwrap_err().to_string();
    assert_says(&taken, &[&client.pid().to_string(), "one writer"]);
    let round = observer.round();
    client.signal(Signal::SIGCONT);
    until("more rounds", || (observer.round() > round + 10).then_some(()));
    client.kill();
    server.ok("stop");
    let seen = "it keeps its place (ClientTaken: pid), and goes on";
    table.row(&["client, SIGSTOP, SIGCONT", "rounds go on", seen, nothing_left(&config.name)]);
    table.print("A client is killed or stopped");
}

/// Who only looks, or overrides, leaves no trace.
#[test]
fn an_observer_or_operator_is_killed_or_stopped() {
    let mut table = Table::with(COLUMNS);
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let mut scene = Scene::of(config_of(4, 2), "plain");
        let mut observer = Actor::new();
        observer.ok(&format!("observe {}", scene.name));
        observer.order("look-for-ever");
        (0..100).for_each(|_| assert_eq!(scene.round(), "SSSS"));
        observer.signal(signal);
        (0..100).for_each(|_| assert_eq!(scene.round(), "SSSS"));
        observer.kill();
        table.row(&[&format!("observer, {signal}"), "looking", "nothing", scene.end()]);
    }
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let mut scene = Scene::of(config_of(4, 2), "plain");
        let mut operator = Actor::new();
        operator.ok(&format!("operate {}", scene.name));
        operator.ok("set 1 speed 0.25");
        assert_eq!(scene.round(), "SSSS");
        assert_eq!(scene.client.status.of(1).overridden, 1);
        operator.signal(signal);
        let stays = signal == Signal::SIGSTOP;
        if stays {
            until_stopped(operator.pid());
            assert_eq!((scene.round(), scene.client.status.of(1).overridden), ("SSSS".into(), 1));
            let taken = Operator::attach(&scene.name).unwrap_err().to_string();
            assert_says(&taken, &[&operator.pid().to_string()]);
        } else {
            operator.kill();
        }
        drop(operator);
        until("the client's own refs", || {
            scene.round();
            (scene.client.status.of(1).overridden == 0).then_some(())
        });
        let seen = if stays { "its values stay as long as it lives" } else { "its values go with it" };
        table.row(&[&format!("operator, {signal}"), "overriding", seen, scene.end()]);
    }
    table.print("An observer or operator is killed or stopped");
}
