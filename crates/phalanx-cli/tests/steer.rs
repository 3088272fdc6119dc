//! Steering a cluster from the shell: hold, deactivate, reset.

mod common;

use common::{Served, command, end_of, phalanx, ps, until};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use phalanx::{Outcome, Rows, Wait};
use std::{io::Write, process::Stdio};

fn kill(pid: u32, signal: Signal) {
    signal::kill(Pid::from_raw(pid as i32), signal).unwrap();
}

#[test]
fn a_client_is_held_and_stepped() {
    let served = Served::echo(2);
    let name = &served.name;
    let mut client = served.client();
    client.solve(Rows::All).unwrap();
    let mut holder = command(&["hold", name, "--step", "1", "--json"]).stdin(Stdio::piped()).spawn().unwrap();
    assert!(until(|| ps(name).is_some_and(|line| line["hold"]["steps_left"] == 1)));
    client.solve(Rows::All).unwrap();
    assert!(until(|| client.try_trigger(Rows::All).unwrap().is_none()), "held after one");
    let listed = phalanx(&["ps"]).ok().stdout;
    assert!(listed.contains(&format!("{name}: held by operator {}, 0 steps left", holder.id())), "{listed}");
    phalanx(&["hold", name, "--for", "0"]).failed(1, &["already has an operator"]);
    // Enter is a round, a number so many; anything else is told off.
    holder.stdin.as_mut().unwrap().write_all(b"\nthree\n2\n").unwrap();
    for _ in 0..3 {
        let mut ticket = None;
        assert!(until(|| {
            ticket = client.try_trigger(Rows::All).unwrap();
            ticket.is_some()
        }));
        client.wait(ticket.unwrap(), Wait::default()).unwrap();
    }
    assert!(client.try_trigger(Rows::All).unwrap().is_none());
    assert!(until(|| ps(name).is_some_and(|line| line["rounds"] == 5)));
    // What was told of the rounds comes with the next look.
    std::thread::sleep(std::time::Duration::from_millis(300));
    kill(holder.id(), Signal::SIGINT);
    let ran = common::finish(holder, &["hold"]).ok();
    let events: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rounds: Vec<_> = events.iter().filter(|e| e["event"] == "round").map(|e| &e["round"]).collect();
    assert_eq!(rounds, [2, 3, 4, 5], "{events:?}");
    assert_eq!(events[events.len() - 1]["event"], "given_back");
    assert!(ran.stderr.contains("\"three\": Enter for one round"), "{}", ran.stderr);
    assert!(client.solve(Rows::All).unwrap().all_solved());
    assert!(ps(name).unwrap()["hold"].is_null());
}

#[test]
fn rows_are_left_out_and_reset() {
    let served = Served::echo(3);
    let name = &served.name;
    let mut client = served.client();
    let mut operator = command(&["deactivate", name, "--row", "0,2"]).spawn().unwrap();
    assert!(until(|| client.solve(Rows::All).unwrap().count(Outcome::Idle) == 2));
    assert_eq!(ps(name).unwrap()["deactivated_rows"], 2);
    kill(operator.id(), Signal::SIGINT);
    assert_eq!(end_of(&mut operator), Some(0));
    assert_eq!(client.solve(Rows::All).unwrap().count(Outcome::Idle), 0);

    let asked = phalanx(&["reset", name, "--row", "1", "--for", "0", "--json"]).ok().json();
    assert_eq!(asked["pending"], serde_json::json!([1]));
    client.solve(Rows::All).unwrap();
    assert_eq!([0, 1, 2].map(|row| client.status.of(row).resets), [0, 1, 0]);
    let reset = command(&["reset", name, "--row", "0-1"]).spawn().unwrap();
    assert!(until(|| {
        client.solve(Rows::All).unwrap();
        client.status.of(0).resets == 1
    }));
    let ran = common::finish(reset, &["reset"]).ok();
    assert!(ran.stdout.contains("2 rows reset by round"), "{}", ran.stdout);
    for wrong in [["reset", "3"], ["deactivate", "1,1"]] {
        phalanx(&[wrong[0], name, "--row", wrong[1], "--for", "0"]).failed(2, &["row"]);
    }
}
