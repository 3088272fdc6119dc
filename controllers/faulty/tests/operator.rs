//! An operator who holds the client, lets it do single rounds, leaves rows out and resets them; and what becomes of all
//! that when somebody is killed or stopped.

mod common;

use common::{
    Actor, assert_says, config, config_of, effort, end, fault, hosted, letters, nothing_left, scene::Scene,
    set_ref, until, until_stopped,
};
use nix::sys::signal::Signal;
use phalanx::{
    ClusterClient, Error, LocalCluster, Observer, Operator, Outcome, Rows, Wait, layout::Phase,
    observer::Hold,
};
use phalanx_faulty::{Fault, Faulty};
use phalanx_shm::clock;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// Waits until the client has come to a trigger and waits there; says how many steps it has left.
fn held(observer: &Observer) -> Hold {
    until("a client that waits", || observer.hold().filter(|hold| hold.waiting))
}

fn attached(name: &str) -> (Operator, Observer) {
    (Operator::attach(name).unwrap(), Observer::attach(name).unwrap())
}

/// Ends the rounds, also where a test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Solves until told to stop, on a thread of its own, while `act` does something about it; gives the client back.
fn solving(mut client: ClusterClient, act: impl FnOnce()) -> ClusterClient {
    let stop = AtomicBool::new(false);
    thread::scope(|threads| {
        let solver = threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let report = client.solve(Rows::All).unwrap();
                assert!(report.all_solved(), "{}", letters(report));
            }
            client
        });
        let end = End(&stop);
        act();
        drop(end);
        solver.join().unwrap()
    })
}

#[test]
fn a_held_client_does_the_rounds_it_is_given_and_no_other() {
    let server = hosted(config_of(4, 2), "plain");
    let client = server.client().unwrap();
    let (operator, observer) = attached(server.name());
    assert_eq!(observer.hold(), None);
    operator.hold().unwrap();
    assert!(!observer.hold().unwrap().waiting, "it has not come to a trigger");
    let client = solving(client, || {
        let me = std::process::id();
        assert_eq!(held(&observer), Hold { operator_pid: me, steps_left: 0, waiting: true });
        assert_eq!(observer.round(), 0);
        for (steps, round) in [(1, 1), (3, 4), (0, 4), (20, 24)] {
            operator.step(steps).unwrap();
            until("its rounds", || (observer.round() == round && held(&observer).waiting).then_some(()));
            assert_eq!((held(&observer).steps_left, observer.round()), (0, round));
        }
        // Steps add up, and a new hold takes back what is left of them.
        operator.step(u64::MAX).unwrap();
        operator.step(u64::MAX).unwrap();
        until("many rounds", || (observer.round() > 100).then_some(()));
        operator.hold().unwrap();
        let round = until("the hold", || Some(observer.round()).filter(|_| held(&observer).steps_left == 0));
        operator.step(1).unwrap();
        until("one more", || (observer.round() == round + 1 && held(&observer).waiting).then_some(()));
        operator.run();
        assert_eq!(observer.hold(), None);
        until("many rounds", || (observer.round() > round + 100).then_some(()));
        // A step without a hold holds after it.
        operator.step(2).unwrap();
        held(&observer);
        drop(operator);
    });
    assert_eq!(observer.hold(), None);
    end(client, server);
}

#[test]
fn a_client_that_must_not_wait_is_not_held() {
    let mut config = config(2);
    config.operator_may_hold = false;
    let server = hosted(config, "plain");
    let mut client = server.client().unwrap();
    let (operator, observer) = attached(server.name());
    for refused in [operator.hold(), operator.step(3)] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::MayNotHold { .. }));
        assert_says(&error.to_string(), &[server.name(), "operator_may_hold = false"]);
    }
    assert_eq!(observer.hold(), None);
    operator.activate(&[1], false).unwrap();
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "S-", "all else is allowed");
    end(client, server);
}

#[test]
fn times_of_a_round_count_from_its_trigger_and_an_interrupt_ends_the_hold() {
    let server = hosted(config_of(2, 1), "plain");
    let mut client = server.client().unwrap();
    let (operator, observer) = attached(server.name());
    operator.hold().unwrap();
    assert!(client.try_trigger(Rows::All).unwrap().is_none(), "never waits");
    let mut looks = 0;
    let mut interrupt = || {
        looks += 1;
        looks == 3
    };
    let wait = Wait { interrupt: Some(&mut interrupt), ..Wait::default() };
    let error = client.solve_with(Rows::All, wait).unwrap_err();
    assert!(matches!(error, Error::InterruptedHeld { pid } if pid == std::process::id()), "{error}");
    assert_eq!((looks, client.round(), observer.hold().unwrap().waiting), (3, 0, false));
    // Misuse is told at once.
    assert!(client.solve(&[9]).unwrap_err().to_string().contains("row 9 of 2"));

    // Deadline and timeout pass many times over while it is held.
    let mut released = 0;
    let mut looks = 0;
    let mut interrupt = || {
        looks += 1;
        if looks == 10 {
            released = clock::now_ns();
            operator.run();
        }
        false
    };
    let limit = Some(Duration::from_millis(100));
    let wait = Wait { deadline: limit, timeout: None, interrupt: Some(&mut interrupt) };
    // A loaded machine may miss 100 ms; what counts is that they began late.
    let report = client.solve_with(Rows::All, wait).unwrap();
    let posted = report.posted_ns;
    assert!(released > 0 && posted > released, "{posted} {released}");
    end(client, server);
}

#[test]
fn rounds_in_flight_are_steps_each() {
    let server = hosted(config_of(4, 2), "plain");
    let mut client = server.client().unwrap();
    let (operator, observer) = attached(server.name());
    operator.step(3).unwrap();
    let mut tickets: Vec<_> = (0..3).map(|row| client.try_trigger(&[row]).unwrap().unwrap()).collect();
    assert!(client.try_trigger(&[3]).unwrap().is_none());
    assert_eq!(observer.hold().unwrap().steps_left, 0);
    // Held with rounds in flight: they can be waited for.
    for ticket in tickets.drain(1..) {
        let row = ticket.round() as usize - 1;
        assert_eq!(client.wait(ticket, Wait::default()).unwrap().outcomes()[row], Outcome::Solved);
    }
    operator.step(1).unwrap();
    let last = client.try_trigger(1..4).unwrap().unwrap();
    assert!(client.try_trigger(1..4).is_err(), "these are in flight, held or not");
    assert!(client.try_trigger(Rows::Ids(&[])).unwrap().is_none());
    assert_eq!(letters(client.wait(last, Wait::default()).unwrap()), "-SSS");
    assert_eq!(letters(client.wait(tickets.remove(0), Wait::default()).unwrap()), "S---");
    end(client, server);
}

#[test]
fn rows_are_left_out_as_if_they_had_not_been_asked_for() {
    let server = hosted(config_of(5, 2), "plain");
    let mut client = server.client().unwrap();
    let (operator, observer) = attached(server.name());
    let mut solve = |value: f32| {
        (0..5).for_each(|row| set_ref(&mut client, "pattern", row, value));
        let letters = letters(client.solve(Rows::All).unwrap());
        (letters, [0, 1, 2, 3, 4].map(|row| effort(&client, row)))
    };
    assert_eq!(solve(1.0), ("SSSSS".into(), [1.0; 5]));
    operator.activate(&[1, 3], false).unwrap();
    assert_eq!(solve(2.0), ("S-S-S".into(), [2.0, 1.0, 2.0, 1.0, 2.0]));
    assert_eq!(observer.latest(1).unwrap().unwrap().round, 1, "observers see no answer");
    let deactivated: Vec<_> = (0..5).filter(|&row| observer.deactivated(row).unwrap()).collect();
    assert_eq!((deactivated, observer.deactivated_rows()), (vec![1, 3], 2));
    operator.activate(.., false).unwrap();
    assert_eq!(solve(3.0), ("-----".into(), [2.0, 1.0, 2.0, 1.0, 2.0]));
    operator.activate(Rows::Mask(&[true, true, false, false, false]), true).unwrap();
    assert_eq!(solve(4.0), ("SS---".into(), [4.0, 4.0, 2.0, 1.0, 2.0]));
    for (bad, says) in [(Rows::Ids(&[5]), "row 5 of 5"), (Rows::Mask(&[true]), "one entry per row")] {
        assert_says(&operator.activate(bad, false).unwrap_err().to_string(), &[says]);
        assert_says(&operator.reset(bad).unwrap_err().to_string(), &[says]);
    }
    assert!(observer.deactivated(5).is_err() && observer.reset_pending(5).is_err());
    drop(operator);
    assert_eq!(observer.deactivated_rows(), 0);
    assert_eq!(solve(5.0).0, "SSSSS");
    end(client, server);
}

#[test]
fn a_reset_is_carried_by_the_next_round_of_the_row() {
    let server = hosted(config_of(3, 1), "plain");
    let mut client = server.client().unwrap();
    let (operator, observer) = attached(server.name());
    fault(&mut client, 1, Fault::Fail);
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SFS");
    set_ref(&mut client, "pattern", 2, 3.0);
    operator.reset(&[1]).unwrap();
    assert!(observer.reset_pending(1).unwrap());
    assert_eq!(letters(client.solve(&[0, 2]).unwrap()), "S-S", "not in this round");
    assert!(observer.reset_pending(1).unwrap() && client.reset_by_operator().is_empty());
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSS", "its refs are the defaults, and no fault");
    assert_eq!(client.reset_by_operator(), [1]);
    assert_eq!((client.status.of(1).resets, observer.reset_pending(1).unwrap()), (1, false));
    assert_eq!(effort(&client, 2), 3.0, "others keep theirs");
    client.solve(Rows::All).unwrap();
    assert!(client.reset_by_operator().is_empty() && client.status.of(1).resets == 1, "once");

    // Of a row that is left out: when it is asked again. Twice asked for is once done.
    operator.activate(&[0], false).unwrap();
    operator.reset(&[0]).unwrap();
    operator.reset(&[0]).unwrap();
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "-SS");
    assert!(observer.reset_pending(0).unwrap());
    operator.activate(&[0], true).unwrap();
    client.solve(Rows::All).unwrap();
    assert_eq!((client.status.of(0).resets, observer.reset_pending(0).unwrap()), (1, false));

    // Where the client resets the row itself, that is one reset, with the client's seed and refs.
    client.reset_seeded(&[2], Some(5)).unwrap();
    set_ref(&mut client, "pattern", 2, 4.0);
    operator.reset(&[2]).unwrap();
    client.solve(Rows::All).unwrap();
    assert_eq!((client.status.of(2).resets, effort(&client, 2)), (1, 4.0));
    assert_eq!(client.status.of(2).violation, phalanx::row_seed(5, 2) as f64);

    // An order that stands: for the next client, and after the operator.
    operator.reset(..).unwrap();
    drop((operator, client));
    let mut client = server.client().unwrap();
    client.solve(Rows::All).unwrap();
    assert_eq!([0, 1, 2].map(|row| client.status.of(row).resets), [2, 2, 2]);
    drop(client);
    let mut client = server.client().unwrap();
    client.solve(Rows::All).unwrap();
    assert_eq!([0, 1, 2].map(|row| client.status.of(row).resets), [2, 2, 2], "and for one client only");
    end(client, server);
}

#[test]
fn a_killed_operator_holds_nobody_whatever_the_server_does() {
    for stopped in [false, true] {
        let config = config_of(3, 1);
        let mut server = Actor::serving(&config);
        let mut client = ClusterClient::connect(&config.name).unwrap();
        let observer = Observer::attach(&config.name).unwrap();
        for _ in 0..3 {
            let mut operator = Actor::new();
            operator.ok(&format!("operate {}", config.name));
            operator.ok("deactivate 1");
            operator.ok("reset 2");
            operator.ok("hold");
            let resets = client.status.of(2).resets;
            if stopped {
                server.signal(Signal::SIGSTOP);
                until_stopped(server.pid());
            }
            thread::scope(|threads| {
                let round = threads.spawn(|| letters(client.solve(Rows::All).unwrap()));
                assert_eq!(held(&observer).operator_pid, operator.pid());
                operator.kill();
                assert_eq!(round.join().unwrap(), "SSS", "row 1 is active again, too");
            });
            assert_eq!(client.status.of(2).resets, resets + 1, "what was asked for stands");
            assert!(observer.hold().is_none() && observer.deactivated_rows() == 0);
            // Left out between two rounds, by one killed there.
            server.signal(Signal::SIGCONT);
            let mut operator = Actor::new();
            until("the lease", || operator.ask(&format!("operate {}", config.name)).ok());
            operator.ok("deactivate 0");
            assert_eq!(letters(client.solve(Rows::All).unwrap()), "-SS");
            operator.kill();
            until("row 0", || (letters(client.solve(Rows::All).unwrap()) == "SSS").then_some(()));
        }
        server.ok("stop");
        drop(client);
        nothing_left(&config.name);
    }
}

#[test]
fn a_stopped_operator_holds_until_it_goes_on() {
    let mut scene = Scene::of(config_of(2, 1), "plain");
    let mut operator = Actor::new();
    operator.ok(&format!("operate {}", scene.name));
    operator.ok("hold");
    operator.signal(Signal::SIGSTOP);
    until_stopped(operator.pid());
    let mut looks = 0;
    let mut interrupt = || {
        looks += 1;
        looks == 5
    };
    let wait = Wait { interrupt: Some(&mut interrupt), ..Wait::default() };
    assert!(matches!(scene.try_round(wait), Err(Error::InterruptedHeld { pid }) if pid == operator.pid()));
    operator.order("run");
    operator.signal(Signal::SIGCONT);
    assert_eq!(scene.round(), "SS");
    operator.answer().unwrap();
    operator.ok("hold");
    operator.order("leave");
    assert_eq!(scene.round(), "SS");
    operator.end();
    scene.end();
}

#[test]
fn a_dying_server_ends_the_hold() {
    for end in ["stop", "kill"] {
        let config = config_of(2, 1);
        let mut server = Actor::serving(&config);
        let mut client = ClusterClient::connect(&config.name).unwrap();
        let (operator, observer) = attached(&config.name);
        operator.hold().unwrap();
        thread::scope(|threads| {
            let round = threads.spawn(|| client.solve(Rows::All).map(letters));
            held(&observer);
            if end == "stop" {
                drop(server.ok("stop"))
            } else {
                server.kill()
            }
            assert!(matches!(round.join().unwrap(), Err(Error::ServerGone { .. })));
        });
        // An operator of what is gone changes nothing, and does not fail.
        operator.run();
        operator.activate(.., false).unwrap();
        drop((operator, client));
        nothing_left(&config.name);
    }
}

#[test]
fn a_client_without_active_rows_notices_the_servers_end() {
    let config = config_of(2, 1);
    let mut server = Actor::serving(&config);
    let mut client = ClusterClient::connect(&config.name).unwrap();
    let operator = Operator::attach(&config.name).unwrap();
    operator.activate(.., false).unwrap();
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "--");
    server.kill();
    until("the server's end", || match client.solve(Rows::All) {
        Ok(_) => None,
        Err(Error::ServerGone { .. }) => Some(()),
        Err(other) => panic!("{other}"),
    });
    drop((operator, client));
    nothing_left(&config.name);
}

#[test]
fn the_next_client_is_held_as_the_one_before() {
    let server = hosted(config(1), "plain");
    let (operator, observer) = attached(server.name());
    operator.hold().unwrap();
    let mut first = Actor::new();
    first.ok(&format!("connect {}", server.name()));
    first.order("solve");
    held(&observer);
    let taken = server.client().unwrap_err().to_string();
    assert_says(&taken, &[&first.pid().to_string(), "one writer"]);
    first.kill();
    assert!(!observer.hold().unwrap().waiting, "a killed client waits for nothing");
    let mut second = until("the lease", || server.client().ok());
    assert!(second.try_trigger(Rows::All).unwrap().is_none());
    operator.step(1).unwrap();
    assert_eq!(letters(second.solve(Rows::All).unwrap()), "S");
    assert!(second.try_trigger(Rows::All).unwrap().is_none());
    operator.run();
    assert_eq!(letters(second.solve(Rows::All).unwrap()), "S");
    drop(operator);
    end(second, server);
}

#[test]
fn operators_killed_anywhere_leave_nothing() {
    let server = hosted(config_of(6, 2), "plain");
    let (name, client) = (server.name().to_owned(), server.client().unwrap());
    let observer = Observer::attach(&name).unwrap();
    let client = solving(client, || {
        for turn in 0..40u64 {
            let mut operator = Actor::new();
            until("the lease", || operator.ask(&format!("operate {name}")).ok());
            operator.ok("steer-for-ever");
            thread::sleep(Duration::from_micros(turn * 97 % 3000));
            operator.kill();
            let round = observer.round();
            until("rounds", || (observer.round() > round + 5).then_some(()));
        }
        until("the server", || observer.operator().is_none().then_some(()));
        assert!(observer.hold().is_none() && observer.deactivated_rows() == 0);
    });
    assert_eq!(observer.phase(), Phase::Ready);
    end(client, server);
}

/// What an operator asked for, as it should come out.
#[derive(Default)]
struct Wanted {
    /// Rounds that may be triggered; `None`: any.
    left: Option<u64>,
    inactive: BTreeSet<usize>,
    pending: BTreeSet<usize>,
    resets: [u32; ROWS],
}

const ROWS: usize = 6;

/// A small generator of its own: tests repeat.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn rows(&mut self) -> Vec<usize> {
        let mask = self.roll(1 << ROWS);
        (0..ROWS).filter(|row| mask >> row & 1 == 1).collect()
    }
}

#[test]
fn ten_thousand_random_sequences_come_out_as_they_should() {
    let mut cluster = LocalCluster::start::<Faulty>(config(ROWS), "faulty").unwrap();
    let name = cluster.name().to_owned();
    let mut client = cluster.client().unwrap();
    let observer = Observer::attach(&name).unwrap();
    let (mut dice, mut wanted) = (Dice(1), Wanted::default());
    for sequence in 0..10_000 {
        let mut operator: Option<Operator> = None;
        for _ in 0..12 {
            let told = operator.as_ref();
            match (dice.roll(9), told) {
                (0, None) | (1, None) => operator = Some(Operator::attach(&name).unwrap()),
                (0, Some(operator)) => {
                    operator.hold().unwrap();
                    wanted.left = Some(0);
                }
                (1, Some(operator)) => {
                    let steps = dice.roll(4);
                    operator.step(steps).unwrap();
                    wanted.left = Some(wanted.left.unwrap_or(0) + steps);
                }
                (2, Some(operator)) => {
                    operator.run();
                    wanted.left = None;
                }
                (3, Some(operator)) => {
                    let rows = dice.rows();
                    operator.activate(&rows[..], false).unwrap();
                    wanted.inactive.extend(rows);
                }
                (4, Some(operator)) => {
                    let rows = dice.rows();
                    operator.activate(&rows[..], true).unwrap();
                    wanted.inactive.retain(|row| !rows.contains(row));
                }
                (5, Some(operator)) => {
                    let rows = dice.rows();
                    operator.reset(&rows[..]).unwrap();
                    wanted.pending.extend(rows);
                }
                (6, Some(_)) => {
                    operator = None;
                    (wanted.left, wanted.inactive) = Default::default();
                }
                _ => {
                    let rows = dice.rows();
                    rows.iter().for_each(|&row| set_ref(&mut client, "pattern", row, 9.0));
                    let ticket = client.try_trigger(&rows[..]).unwrap();
                    let Some(ticket) = ticket else {
                        assert_eq!(wanted.left, Some(0), "sequence {sequence}: held");
                        assert!(!observer.hold().unwrap().waiting);
                        continue;
                    };
                    assert_ne!(wanted.left, Some(0), "sequence {sequence}: not held");
                    wanted.left = wanted.left.map(|left| left - 1);
                    cluster.serve();
                    let report = client.wait(ticket, Wait::default()).unwrap();
                    let solved: Vec<_> = report.rows(Outcome::Solved).collect();
                    let asked: Vec<_> = rows.into_iter().filter(|r| !wanted.inactive.contains(r)).collect();
                    assert_eq!(solved, asked, "sequence {sequence}");
                    let reset: Vec<_> =
                        asked.iter().copied().filter(|row| wanted.pending.remove(row)).collect();
                    assert_eq!(client.reset_by_operator(), reset, "sequence {sequence}");
                    reset.iter().for_each(|&row| wanted.resets[row] += 1);
                    for row in asked {
                        let expected = if reset.contains(&row) { 0.0 } else { 9.0 };
                        assert_eq!(
                            (effort(&client, row), client.status.of(row).resets),
                            (expected, wanted.resets[row])
                        );
                    }
                }
            }
            assert_eq!(observer.hold().map(|hold| hold.steps_left), wanted.left);
            for row in (0..ROWS).filter(|_| sequence % 4 == 0) {
                assert_eq!(observer.deactivated(row).unwrap(), wanted.inactive.contains(&row));
                assert_eq!(observer.reset_pending(row).unwrap(), wanted.pending.contains(&row));
            }
        }
        drop(operator);
        (wanted.left, wanted.inactive) = Default::default();
    }
    assert!(wanted.resets.iter().all(|&resets| resets > 100));
    drop((client, cluster));
    nothing_left(&name);
}
