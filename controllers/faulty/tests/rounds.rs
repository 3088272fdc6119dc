//! Rounds as they should go: subsets, resets, outcomes, deadlines, pipelining, policies.

mod common;

use common::{
    PATIENCE, cluster, config, config_of, effort, end, fault, faulty, hosted, letters, message, send,
    set_ref, table::Table, until, until_stopped, worker_of,
};
use nix::sys::signal::Signal;
use phalanx::{
    Bool, ClusterClient, ClusterServer, Error, Field, Group, Observer, Outcome, Policy, Real, Reason, Rows,
    Ticket, Wait, row_seed,
};
use phalanx_faulty::Fault;
use std::time::Duration;

/// Soon enough to test with, late enough for all healthy rows of a loaded machine.
const SOON: Duration = Duration::from_millis(500);

#[test]
fn a_round_answers_every_row_with_its_own_values() {
    for (rows, workers, hosted_as) in [(7, 1, "plain"), (7, 3, "plain"), (7, 2, "threaded"), (7, 2, "group")]
    {
        let mut config = config_of(rows, workers);
        config.cpu.threads = if hosted_as == "threaded" { 2 } else { 1 };
        let server = hosted(config, hosted_as);
        let mut client = server.client().unwrap();
        let (q, out) =
            (client.state.handle::<f32>("joint_q").unwrap(), client.cmd.handle::<f32>("joint_q").unwrap());
        for round in 1..=50u64 {
            for row in 0..rows {
                client.state.get_mut(q, row).fill((row as u64 * 1000 + round) as f32);
                set_ref(&mut client, "pattern", row, -(row as f32));
            }
            let report = client.solve(Rows::All).unwrap();
            assert_eq!((report.round, letters(report).as_str()), (round, "SSSSSSS"));
            for row in 0..rows {
                assert_eq!(client.cmd.get(out, row), [(row as u64 * 1000 + round) as f32; 3]);
                assert_eq!(effort(&client, row), -(row as f32));
                let status = client.status.of(row);
                assert_eq!((status.round, status.age, status.solves), (round, 0, round));
                assert!(status.posted_ns > 0 && status.finished_ns >= status.started_ns);
            }
        }
        end(client, server);
    }
}

#[test]
fn rows_not_asked_for_cost_nothing() {
    let server = hosted(config_of(8, 2), "plain");
    let mut client = server.client().unwrap();
    let all: Vec<_> = (0..8).collect();
    let mut solves = [0; 8];
    let chosen: [(Rows<'_>, &[usize]); 6] = [
        (Rows::Mask(&[false, true, false, false, false, false, false, true]), &[1, 7]),
        (Rows::Ids(&[6, 0, 3]), &[0, 3, 6]),
        (Rows::Range(2, 5), &[2, 3, 4]),
        (Rows::Range(4, 4), &[]),
        (Rows::Mask(&[false; 8]), &[]),
        (Rows::All, &all),
    ];
    for (round, (rows, expected)) in chosen.into_iter().enumerate() {
        for row in 0..8 {
            set_ref(&mut client, "pattern", row, round as f32);
        }
        let before: Vec<_> = (0..8).map(|row| client.cmd.row(row).to_vec()).collect();
        let report = client.solve(rows).unwrap();
        let answered: Vec<_> = report.rows(Outcome::Solved).collect();
        assert_eq!(answered, expected, "{rows:?}");
        assert_eq!(report.count(Outcome::Idle), 8 - expected.len());
        for row in 0..8 {
            let asked = expected.contains(&row);
            solves[row] += u64::from(asked);
            assert_eq!(client.status.of(row).solves, solves[row], "row {row} of {rows:?}");
            if asked {
                assert_eq!(client.status.of(row).round, round as u64 + 1);
                assert_eq!(effort(&client, row), round as f32);
            } else {
                assert_eq!(client.cmd.row(row), before[row]);
            }
        }
    }
    for (rows, says) in [
        (Rows::Mask(&[true]), "one entry per row"),
        (Rows::Ids(&[8]), "row 8 of 8"),
        (Rows::Ids(&[2, 2]), "named twice"),
        (Rows::Range(5, 9), "5..9"),
    ] {
        let error = client.solve(rows).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(client.round(), 6, "a refused round is none");
    }
    end(client, server);
}

#[test]
fn a_failed_row_keeps_its_policy_command_until_it_is_reset() {
    let server = hosted(config(3), "plain");
    let mut client = server.client().unwrap();
    set_ref(&mut client, "pattern", 1, 3.0);
    client.solve(Rows::All).unwrap();
    fault(&mut client, 1, Fault::Fail);
    set_ref(&mut client, "pattern", 1, 4.0);
    let report = client.solve(Rows::All).unwrap();
    assert_eq!((letters(report).as_str(), report.reasons()[1]), ("SFS", Reason::Controller));
    assert!(!report.all_solved());
    assert_eq!(effort(&client, 1), 3.0, "held");
    assert_eq!(client.status.of(1).fails, 1);
    assert_eq!(client.message(1), Some((2, "the controller gave up: no feasible step".into())));

    fault(&mut client, 1, Fault::None);
    for age in 1..4 {
        let report = client.solve(Rows::All).unwrap();
        assert_eq!((letters(report).as_str(), report.reasons()[1]), ("SFS", Reason::NotReset));
        let status = client.status.of(1);
        assert_eq!((status.round, status.age, status.solves), (2, age, 2), "it is not solved");
        assert_eq!(effort(&client, 1), 3.0);
    }

    set_ref(&mut client, "pattern", 0, 9.0);
    client.reset(&[1]).unwrap();
    assert_eq!(client.refs.read("pattern", 1).unwrap(), [0.0], "defaults at once");
    assert_eq!(client.refs.read("speed", 1).unwrap(), [0.5]);
    assert_eq!(client.refs.read("pattern", 0).unwrap(), [9.0], "others' refs are their own");
    assert_eq!(client.status.of(1).resets, 0, "at the start of the next round");
    client.solve(&[0]).unwrap();
    assert_eq!(client.status.of(1).resets, 0, "the next round of that row");
    set_ref(&mut client, "pattern", 1, 5.0);
    let report = client.solve(Rows::All).unwrap();
    assert_eq!(letters(report), "SSS");
    let status = client.status.of(1);
    assert_eq!((status.resets, status.age, status.iterations), (1, 0, 1), "first of its life");
    assert_eq!((effort(&client, 1), client.status.of(0).resets), (5.0, 0));
    client.solve(Rows::All).unwrap();
    assert_eq!((client.status.of(1).resets, client.status.of(1).iterations), (1, 0), "once");
    assert!(client.reset(&[3]).is_err());
    end(client, server);
}

/// What each row was reset with, as its controller says.
fn seeds(client: &ClusterClient) -> Vec<f64> {
    (0..client.rows()).map(|row| client.status.of(row).violation).collect()
}

#[test]
fn a_row_is_reset_with_a_seed_of_its_own_whoever_hosts_it() {
    let of = |seed, rows: std::ops::Range<usize>| -> Vec<f64> {
        rows.map(|row| row_seed(seed, row) as f64).collect()
    };
    for (workers, hosted_as) in [(1, "plain"), (3, "plain"), (2, "threaded"), (1, "group"), (3, "group")] {
        let mut config = config_of(5, workers);
        config.cpu.threads = if hosted_as == "threaded" { 2 } else { 1 };
        let server = hosted(config, hosted_as);
        let mut client = server.client().unwrap();
        client.solve(Rows::All).unwrap();
        assert_eq!(seeds(&client), [0.0; 5]);
        client.reset_seeded(Rows::All, Some(7)).unwrap();
        for _ in 0..2 {
            assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSSS");
            assert_eq!(seeds(&client), of(7, 0..5), "{workers} workers, {hosted_as}");
        }
        // The last word counts, with and without a seed.
        client.reset_seeded(0..3, Some(8)).unwrap();
        client.reset_seeded(&[0], Some(9)).unwrap();
        client.reset(&[1]).unwrap();
        client.solve(Rows::All).unwrap();
        assert_eq!(seeds(&client), [of(9, 0..1), vec![0.0], of(8, 2..3), of(7, 3..5)].concat());
        // Built anew after a panic, it is given its seed, too.
        fault(&mut client, 2, Fault::Panic);
        client.solve(&[2]).unwrap();
        client.reset_seeded(&[2], Some(10)).unwrap();
        assert_eq!(letters(client.solve(&[2]).unwrap()), "--S--");
        assert_eq!(seeds(&client)[2], of(10, 2..3)[0], "{hosted_as}");
        assert!(client.reset_seeded(&[5], Some(1)).is_err());
        end(client, server);
    }
}

#[test]
fn a_seed_is_not_lost_with_the_round_it_was_for() {
    // Withdrawn: the worker is stopped when it is asked.
    let server = hosted(config(1), "plain");
    let mut client = server.client().unwrap();
    client.solve(Rows::All).unwrap();
    let pid = worker_of(server.name(), 0);
    let observer = Observer::attach(server.name()).unwrap();
    send(pid, Signal::SIGSTOP);
    until_stopped(pid);
    client.reset_seeded(Rows::All, Some(3)).unwrap();
    assert_eq!(letters(client.solve_with(Rows::All, Wait::until(SOON)).unwrap()), "L");
    send(pid, Signal::SIGCONT);
    until("the answer", || (!observer.is_pending(0).unwrap()).then_some(()));
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "S");
    assert_eq!(seeds(&client), [row_seed(3, 0) as f64]);

    // Lost with its worker.
    fault(&mut client, 0, Fault::Loop);
    assert_eq!(letters(client.solve_with(Rows::All, Wait::until(SOON)).unwrap()), "L");
    send(pid, Signal::SIGKILL);
    until("the new worker", || (observer.workers()[0].generation == 2).then_some(()));
    fault(&mut client, 0, Fault::None);
    until("all solved", || client.solve(Rows::All).unwrap().all_solved().then_some(()));
    assert_eq!(seeds(&client), [0.0], "a new life");
    let stopped = worker_of(server.name(), 0);
    send(stopped, Signal::SIGSTOP);
    until_stopped(stopped);
    client.reset_seeded(Rows::All, Some(4)).unwrap();
    let ticket = client.trigger(Rows::All).unwrap();
    send(stopped, Signal::SIGKILL);
    assert_eq!(letters(client.wait(ticket, Wait::default()).unwrap()), "D");
    until("all solved", || client.solve(Rows::All).unwrap().all_solved().then_some(()));
    assert_eq!(seeds(&client), [row_seed(4, 0) as f64]);
    end(client, server);
}

#[test]
fn what_a_controller_does_becomes_the_rows_outcome() {
    for hosted_as in ["plain", "threaded"] {
        let server = hosted(config(5), hosted_as);
        let mut client = server.client().unwrap();
        for (row, wrong) in [(0, Fault::Panic), (1, Fault::Nan), (2, Fault::WrongLength), (3, Fault::Degrade)]
        {
            fault(&mut client, row, wrong);
            set_ref(&mut client, "pattern", row, 8.0);
        }
        let report = client.solve(Rows::All).unwrap();
        assert_eq!(letters(report), "FFFGS");
        assert_eq!(report.reasons()[..4], [Reason::Panic, Reason::BadOutput, Reason::Panic, Reason::None]);
        for (row, says) in [
            (0, "singular matrix in row 0"),
            (1, "cmd.joint_effort[0] (hip) is NaN"),
            (2, "source slice length (99)"),
            (3, "iteration cap"),
        ] {
            let (round, text) = client.message(row).unwrap();
            assert!(round == 1 && (text.contains(says) || row == 2), "{text}");
        }
        assert_eq!((effort(&client, 0), effort(&client, 3)), (0.0, 8.0), "nothing half done is seen");
        (0..4).for_each(|row| fault(&mut client, row, Fault::None));
        assert_eq!(letters(client.solve(Rows::All).unwrap()), "FFFSS");
        client.reset(Rows::All).unwrap();
        assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSSS");

        fault(&mut client, 4, Fault::PanicAtReset);
        client.solve(Rows::All).unwrap();
        client.reset(&[4]).unwrap();
        let report = client.solve(Rows::All).unwrap();
        assert_eq!((letters(report).as_str(), report.reasons()[4]), ("SSSSF", Reason::Panic));
        assert!(client.message(4).unwrap().1.contains("nothing to reset to in row 4"));
        client.reset(&[4]).unwrap();
        assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSSS", "built anew");
        end(client, server);
    }
}

#[test]
fn what_goes_wrong_in_a_group_goes_wrong_for_all_that_were_asked() {
    let server = hosted(config_of(6, 2), "group");
    let mut client = server.client().unwrap();
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSSSS");
    fault(&mut client, 1, Fault::Panic);
    let report = client.solve(&[0, 1, 4]).unwrap();
    assert_eq!((letters(report).as_str(), report.reasons()[0]), ("FF--S-", Reason::Panic));
    assert!(client.message(0).unwrap().1.contains("singular matrix in row 1"));
    fault(&mut client, 1, Fault::None);
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "FFSSSS", "who was not asked is well");
    client.reset(&[0, 1]).unwrap();
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSSSS");

    fault(&mut client, 2, Fault::Nan);
    fault(&mut client, 3, Fault::Fail);
    fault(&mut client, 4, Fault::Degrade);
    assert_eq!(
        letters(client.solve(Rows::All).unwrap()),
        "SSFFGS",
        "verdicts and commands are each row's own"
    );
    client.reset(Rows::All).unwrap();
    fault(&mut client, 5, Fault::PanicAtReset);
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSSSS");
    client.reset(&[5]).unwrap();
    let report = client.solve(Rows::All).unwrap();
    assert!(matches!(letters(report).as_str(), "SSSSSS" | "SSSSSF"), "{}", letters(report));
    client.reset(&[5]).unwrap();
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSSSS");
    let q = client.state.handle::<f32>("joint_q").unwrap();
    client.state.get_mut(q, 3)[0] = f32::NAN;
    let report = client.solve(Rows::All).unwrap();
    assert_eq!((letters(report).as_str(), report.reasons()[3]), ("SSSFSS", Reason::BadInput));
    end(client, server);
}

#[test]
fn late_rows_are_an_outcome_and_answer_later() {
    // Row 1 is stopped in the middle of round 2; row 0 has answered by then, row 2 waits behind it.
    let stop = config(3).param("fault", "stop").param("stage", "solving").param("row", 1).param("round", 2);
    let mut stop = stop;
    stop.cpu.workers = Some(1);
    let server = cluster(stop);
    let mut client = server.client().unwrap();
    let pid = worker_of(server.name(), 0);
    (0..3).for_each(|row| set_ref(&mut client, "pattern", row, 1.0));
    client.solve(Rows::All).unwrap();
    (0..3).for_each(|row| set_ref(&mut client, "pattern", row, 2.0));
    let report = client.solve_with(Rows::All, Wait::until(SOON)).unwrap();
    assert_eq!((report.round, letters(report).as_str()), (2, "SLL"));
    until_stopped(pid);
    for age in 1..4 {
        let status = client.status.of(1);
        assert_eq!((status.round, status.age, status.outcome), (1, age, Outcome::Late as u8));
        assert_eq!([0, 1, 2].map(|row| effort(&client, row)), [2.0, 1.0, 1.0], "the last complete ones");
        // Row 0 would be asked, and would wait for the worker.
        let report = client.solve_with(&[1, 2], Wait::until(Duration::ZERO)).unwrap();
        assert_eq!(letters(report), "-LL");
    }
    // What changes now never enters the late solve; that of row 1 was begun, that of row 2 was not.
    (0..3).for_each(|row| set_ref(&mut client, "pattern", row, 6.0));
    let observer = Observer::attach(server.name()).unwrap();
    assert!(observer.is_pending(1).unwrap() && !observer.is_pending(0).unwrap());
    send(pid, Signal::SIGCONT);
    until("the late answers", || (1..3).all(|row| !observer.is_pending(row).unwrap()).then_some(()));
    assert_eq!([0, 1, 2].map(|row| effort(&client, row)), [2.0, 1.0, 1.0], "not without being asked");
    let late = observer.latest(1).unwrap().unwrap();
    assert_eq!((late.round, observer.latest(2).unwrap().unwrap().round), (2, 1), "row 2 was withdrawn");
    assert_eq!(observer.values(&late, Group::Cmd, "joint_effort").unwrap().unwrap(), [2.0; 3]);

    let ticket = client.trigger(&[1]).unwrap();
    assert_eq!(client.status.of(1).round, 2, "taken with its own round");
    let report = client.wait(ticket, Wait::default()).unwrap();
    assert_eq!(letters(report), "-S-");
    assert_eq!((effort(&client, 1), client.status.of(1).solves), (6.0, 3));
    let round = client.solve(Rows::All).unwrap().round;
    for (row, solves) in [(0, 3), (1, 4), (2, 2)] {
        let status = client.status.of(row);
        assert_eq!((status.round, status.age, status.solves), (round, 0, solves));
    }
    end(client, server);
}

#[test]
fn a_reset_that_was_withdrawn_is_made_up_for() {
    let stop =
        config(2).param("fault", "stop").param("stage", "copying_in").param("row", 1).param("round", 3);
    let server = cluster(stop);
    let mut client = server.client().unwrap();
    let pid = worker_of(server.name(), 0);
    client.solve(Rows::All).unwrap();
    fault(&mut client, 1, Fault::Fail);
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SF");
    client.reset(&[1]).unwrap();
    assert_eq!(letters(client.solve_with(Rows::All, Wait::until(SOON)).unwrap()), "SL");
    until_stopped(pid);
    send(pid, Signal::SIGCONT);
    let observer = Observer::attach(server.name()).unwrap();
    until("the withdrawn answer", || (!observer.is_pending(1).unwrap()).then_some(()));
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SS", "the reset went with the next ask");
    assert_eq!(client.status.of(1).resets, 1);
    end(client, server);
}

#[test]
fn a_timeout_names_rows_and_processes_and_leaves_a_usable_cluster() {
    let mut config = config_of(4, 2);
    config.round_timeout = 0.3;
    let server = hosted(config, "plain");
    let mut client = server.client().unwrap();
    let pid = worker_of(server.name(), 1);
    client.solve(Rows::All).unwrap();
    send(pid, Signal::SIGSTOP);
    until_stopped(pid);
    let error = client.solve(Rows::All).unwrap_err();
    let text = error.to_string();
    let Error::Timeout { round: 2, rows, pids, .. } = error else { panic!("{text}") };
    assert_eq!((rows, pids), (vec![2, 3], vec![pid]));
    assert!(text.contains("row 2, 3") && text.contains(&pid.to_string()) && text.contains("phalanx restart"));
    assert_eq!(client.status.of(0).round, 2, "who answered has answered");
    assert_eq!(letters(client.solve(&[0, 1]).unwrap()), "SS--", "the others go on");
    // A timeout shorter than the deadline is an error all the same.
    let wait = Wait { deadline: Some(PATIENCE), timeout: Some(Duration::from_millis(20)), interrupt: None };
    send(pid, Signal::SIGCONT);
    let observer = Observer::attach(server.name()).unwrap();
    until("the late answers", || (2..4).all(|row| !observer.is_pending(row).unwrap()).then_some(()));
    send(pid, Signal::SIGSTOP);
    until_stopped(pid);
    assert!(matches!(client.solve_with(Rows::All, wait), Err(Error::Timeout { round: 4, .. })));
    send(pid, Signal::SIGCONT);
    until("the late answers", || (2..4).all(|row| !observer.is_pending(row).unwrap()).then_some(()));
    assert_eq!(letters(client.solve_with(Rows::All, Wait::until(PATIENCE)).unwrap()), "SSSS");
    end(client, server);
}

#[test]
fn an_interrupt_ends_the_wait_and_nothing_else() {
    let server = hosted(config_of(4, 2), "plain");
    let mut client = server.client().unwrap();
    let pid = worker_of(server.name(), 0);
    client.solve(Rows::All).unwrap();
    send(pid, Signal::SIGSTOP);
    until_stopped(pid);
    let mut asked = 0;
    let mut check = || {
        asked += 1;
        asked == 3
    };
    let wait = Wait { interrupt: Some(&mut check), ..Wait::default() };
    let error = client.solve_with(Rows::All, wait).unwrap_err();
    assert!(matches!(error, Error::Interrupted { round: 2 }), "{error}");
    assert_eq!(asked, 3);
    let outcomes = [0, 1, 2, 3].map(|row| Outcome::from_code(client.status.of(row).outcome));
    use Outcome::{Late, Solved};
    assert_eq!(outcomes, [Late, Late, Solved, Solved], "what had answered is taken");
    assert_eq!(client.status.of(3).round, 2);
    send(pid, Signal::SIGCONT);
    let observer = Observer::attach(server.name()).unwrap();
    until("the late answers", || (0..2).all(|row| !observer.is_pending(row).unwrap()).then_some(()));
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSS");
    end(client, server);
}

#[test]
fn rounds_are_pipelined_on_disjoint_rows() {
    let server = hosted(config_of(20, 2), "plain");
    let mut client = server.client().unwrap();
    let (mut left, mut right) = (None::<Ticket>, None::<Ticket>);
    for round in 1..=200u64 {
        let (rows, flying) =
            if round % 2 == 1 { (Rows::Range(0, 10), &mut left) } else { (Rows::Range(10, 20), &mut right) };
        if let Some(ticket) = flying.take() {
            let expected = ticket.round();
            let report = client.wait(ticket, Wait::default()).unwrap();
            assert_eq!((report.round, report.count(Outcome::Solved)), (expected, 10));
            let row = if round % 2 == 1 { 3 } else { 13 };
            assert_eq!((client.status.of(row).round, effort(&client, row)), (expected, expected as f32));
        }
        let half = if round % 2 == 1 { 0..10 } else { 10..20 };
        half.for_each(|row| set_ref(&mut client, "pattern", row, round as f32));
        *flying = Some(client.trigger(rows).unwrap());
    }
    let error = client.trigger(&[7, 15]).unwrap_err().to_string();
    assert!(error.contains("row 7") && error.contains("round 199"), "{error}");
    assert!(matches!(client.reset(&[12]), Err(Error::InFlight { row: 12, round: 200 })));
    for ticket in [right, left].into_iter().flatten() {
        assert_eq!(client.wait(ticket, Wait::default()).unwrap().count(Outcome::Solved), 10);
    }

    let tickets: Vec<_> = (0..16usize).map(|row| client.trigger(&[row]).unwrap()).collect();
    let error = client.trigger(&[17]).unwrap_err().to_string();
    assert!(error.contains("16 rounds are in flight"), "{error}");
    for (row, ticket) in tickets.into_iter().enumerate().rev() {
        let round = ticket.round();
        let report = client.wait(ticket, Wait::default()).unwrap();
        assert_eq!((report.round, report.rows(Outcome::Solved).collect::<Vec<_>>()), (round, vec![row]));
    }
    assert_eq!(client.solve(Rows::All).unwrap().count(Outcome::Solved), 20);
    end(client, server);
}

#[test]
fn a_ticket_is_good_for_its_own_round_only() {
    let (server, other) = (hosted(config(2), "plain"), hosted(config(2), "plain"));
    let (mut client, mut stranger) = (server.client().unwrap(), other.client().unwrap());
    stranger.solve(Rows::All).unwrap();
    let foreign = stranger.trigger(Rows::All).unwrap();
    let error = client.wait(foreign, Wait::default()).unwrap_err().to_string();
    assert!(error.contains("round 2 is not in flight"), "{error}");
    let ticket = client.trigger(Rows::All).unwrap();
    assert!(client.wait(ticket, Wait::default()).unwrap().all_solved());
    let missing = stranger.trigger(Rows::All).unwrap_err();
    assert!(matches!(missing, Error::InFlight { round: 2, .. }), "{missing}");
    end(stranger, other);
    end(client, server);
}

#[test]
fn a_worker_serves_the_oldest_round_first() {
    // Row 0 holds the worker while rounds of the others queue up.
    let server = hosted(config(6), "plain");
    let mut client = server.client().unwrap();
    fault(&mut client, 0, Fault::Sleep);
    set_ref(&mut client, "seconds", 0, 0.1);
    let order = [0usize, 3, 5, 1, 4, 2];
    let tickets: Vec<_> = order.iter().map(|&row| client.trigger(&[row]).unwrap()).collect();
    for ticket in tickets {
        assert!(client.wait(ticket, Wait::default()).unwrap().all_solved());
    }
    let started = order.map(|row| client.status.of(row).started_ns);
    assert!(started.is_sorted(), "{started:?}");
    end(client, server);
}

#[test]
fn a_policy_decides_what_a_failed_or_dead_row_commands() {
    let mut table = Table::with(&["policy", "failed row", "dead row"]);
    for (policy, failed, dead) in [
        (Policy::Hold, [0.5, 5.0], [0.5, 5.0]),
        (Policy::Homing, [0.25, 0.0], [0.25, 0.0]),
        (Policy::Zero, [0.0, 0.0], [0.0, 0.0]),
        (Policy::Safe, [0.25, -1.0], [0.25, 0.0]),
    ] {
        let mut config = config_of(2, 2);
        config.policy = policy;
        config.robot.joints.iter_mut().for_each(|joint| joint.homing = 0.25);
        let server = hosted(config, "plain");
        let mut client = server.client().unwrap();
        let q = client.state.handle::<f32>("joint_q").unwrap();
        let command = |client: &ClusterClient, row: usize| {
            assert_eq!(client.cmd.read("root_quat", row).unwrap(), [1.0, 0.0, 0.0, 0.0]);
            [client.cmd.read("joint_q", row).unwrap()[0] as f32, effort(client, row)]
        };
        for row in 0..2 {
            client.state.get_mut(q, row).fill(0.5);
            set_ref(&mut client, "pattern", row, 5.0);
        }
        client.solve(Rows::All).unwrap();
        assert_eq!(command(&client, 1), [0.5, 5.0]);
        for wrong in [Fault::Fail, Fault::Panic, Fault::Nan] {
            fault(&mut client, 0, wrong);
            for _ in 0..2 {
                assert_eq!(letters(client.solve(&[0]).unwrap()), "F-");
                assert_eq!(command(&client, 0), failed, "{policy:?} {wrong:?}");
            }
            client.reset(&[0]).unwrap();
            client.state.get_mut(q, 0).fill(0.5);
            set_ref(&mut client, "pattern", 0, 5.0);
            client.solve(&[0]).unwrap();
        }
        fault(&mut client, 1, Fault::Abort);
        assert_eq!(letters(client.solve(Rows::All).unwrap()), "SD");
        assert_eq!(command(&client, 1), dead, "{policy:?}");
        table.row(&[format!("{policy:?}"), format!("{failed:?}"), format!("{dead:?}")]);
        end(client, server);
    }
    table.print(
        "Policies: joint position and effort where the state says 0.5, the last effort 5, homing 0.25",
    );
}

#[test]
fn bad_input_fails_its_row_alone_and_names_the_field() {
    for check in [true, false] {
        let mut config = config(3);
        config.check_inputs = check;
        config.state_extras = vec![Field::new("terrain", "m", "height map").shape(&[2, 2])];
        let server = hosted(config, "plain");
        let mut client = server.client().unwrap();
        let handle = |client: &ClusterClient, name| client.state.handle::<f32>(name).unwrap();
        for (field, at, says) in [
            ("joint_v", 1, "state.joint_v[1] (knee) is NaN"),
            ("terrain", 3, "state.terrain[3] is NaN"),
            ("contact_force", 2, "state.contact_force[2] (foot) is NaN"),
        ] {
            let field = handle(&client, field);
            client.state.get_mut(field, 1)[at] = f32::NAN;
            let report = client.solve(Rows::All).unwrap();
            if check {
                assert_eq!((letters(report).as_str(), report.reasons()[1]), ("SFS", Reason::BadInput));
                let (_, text) = client.message(1).unwrap();
                assert_eq!(text, format!("bad input: {says}"));
            } else {
                assert_eq!(letters(report), "SSS");
            }
            client.state.get_mut(field, 1)[at] = 0.0;
            client.reset(&[1]).unwrap();
        }
        set_ref(&mut client, "pattern", 2, f32::INFINITY);
        let report = client.solve(Rows::All).unwrap();
        assert_eq!(letters(report), "SSF");
        let reason = if check { Reason::BadInput } else { Reason::BadOutput };
        assert_eq!(report.reasons()[2], reason);
        let (_, text) = client.message(2).unwrap();
        assert!(text.contains("is inf"), "{text}");
        end(client, server);
    }
}

#[test]
fn followed_refs_and_the_validity_mask() {
    let server = hosted(config(2), "plain");
    let mut client = server.client().unwrap();
    set_ref(&mut client, "speed", 0, 3.0);
    set_ref(&mut client, "speed", 1, -0.75);
    set_ref(&mut client, "pattern", 1, 2.0);
    let valid = client.refs.handle::<Bool>("valid").unwrap();
    client.refs.get_mut(valid, 1)[0] = Bool::from(false);
    client.solve(Rows::All).unwrap();
    let followed = client.followed.as_ref().unwrap();
    assert_eq!(
        (followed.read("speed", 0).unwrap(), followed.read("speed", 1).unwrap()),
        (vec![1.0], vec![-0.75])
    );
    assert_eq!(client.refs.read("speed", 0).unwrap(), [3.0], "the client's own stay");
    assert_eq!(effort(&client, 1), 7.0, "what is not valid the controller chooses");
    client.refs.get_mut(valid, 1)[0] = Bool::from(true);
    client.solve(Rows::All).unwrap();
    assert_eq!(effort(&client, 1), 2.0);
    end(client, server);
}

#[test]
fn double_precision_is_double_all_the_way() {
    let mut config = config(2);
    config.real = Real::F64;
    let server = hosted(config, "wide");
    let mut client = server.client().unwrap();
    let fine = 1.0 + f64::EPSILON;
    let (q, out) =
        (client.state.handle::<f64>("joint_q").unwrap(), client.cmd.handle::<f64>("joint_q").unwrap());
    client.state.get_mut(q, 1).fill(fine);
    client.solve(Rows::All).unwrap();
    assert_eq!(client.cmd.get(out, 1), [fine; 3]);
    assert!(client.cmd.handle::<f32>("joint_q").is_err());
    client.state.get_mut(q, 1)[2] = f64::INFINITY;
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SF");
    assert!(client.message(1).unwrap().1.contains("joint_q[2] (ankle) is inf"));
    end(client, server);
}

#[test]
fn threads_steal_work_and_a_slow_row_holds_up_nobody() {
    let mut config = config(9);
    config.cpu.threads = 3;
    let server = hosted(config, "threaded");
    let mut client = server.client().unwrap();
    for _ in 0..300 {
        assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSSSSSSS");
    }
    // One thread sleeps with its queue full; the others take it over.
    fault(&mut client, 0, Fault::Sleep);
    set_ref(&mut client, "seconds", 0, 2.0);
    let report = client.solve_with(Rows::All, Wait::until(Duration::from_millis(1500))).unwrap();
    assert_eq!(letters(report), "LSSSSSSSS");
    fault(&mut client, 0, Fault::None);
    let observer = Observer::attach(server.name()).unwrap();
    until("the late answer", || (!observer.is_pending(0).unwrap()).then_some(()));
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSSSSSSS");
    end(client, server);

    let mut config = config_of(3, 1);
    config.cpu.threads = 2;
    let error = ClusterServer::start(config, faulty().hosted("plain")).unwrap_err().to_string();
    assert!(error.contains("cpu.threads = 2") && error.contains("plain"), "{error}");
}

#[test]
fn a_hung_worker_is_replaced_where_that_is_asked_for() {
    let mut config = config_of(4, 2);
    config.hang_timeout = 1.0;
    let server = hosted(config, "plain");
    let mut client = server.client().unwrap();
    let pid = worker_of(server.name(), 1);
    fault(&mut client, 3, Fault::Loop);
    assert_eq!(letters(client.solve(Rows::All).unwrap()), "SSSD", "row 2 had answered");
    let text = message(&client, 3, "row 3");
    assert!(text.contains(&pid.to_string()) && text.contains("SIGKILL"), "{text}");
    until("the reason in its log", || {
        server.log(1).iter().any(|l| l.contains("row 3") && l.contains("hang_timeout")).then_some(())
    });
    fault(&mut client, 3, Fault::None);
    until("the rows", || client.solve(Rows::All).unwrap().all_solved().then_some(()));
    end(client, server);
}
