//! Everything at once, across processes: every row of every round carries a value of its own in all its fields, and
//! whoever looks (controller, client, observers in threads and in a process) checks that it is nowhere mixed.
//!
//! Seconds by default; `PHALANX_STRESS_SECS=180 cargo test -p phalanx-faulty --release --test stress` for minutes.

mod common;

use common::{PATIENCE, config_of, faulty, nothing_left, send, state_of, table::Table, until};
use nix::sys::signal::Signal;
use phalanx::observer::RowRecord;
use phalanx::{ClusterClient, ClusterServer, Group, Handle, Observer, Outcome, Reason, Rows, Ticket, Wait};
use phalanx_faulty::pattern::{answer, followed, value};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

const ROWS: usize = 24;

fn seconds() -> f64 {
    std::env::var("PHALANX_STRESS_SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(5.0)
}

/// Xorshift.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// The client's fields, to fill and to check.
struct Fields {
    state: Vec<Handle<f32>>,
    narrow: Handle<f32>,
    wide: Handle<f64>,
    cmd: Vec<Handle<f32>>,
    prediction: Vec<Handle<f32>>,
}

impl Fields {
    fn of(client: &ClusterClient) -> Self {
        let all = |record: &phalanx::schema::Record| {
            record.fields.iter().map(|f| record.handle(&f.name).unwrap()).collect::<Vec<_>>()
        };
        Self {
            state: all(client.state.record()),
            narrow: client.refs.handle("narrow").unwrap(),
            wide: client.refs.handle("wide").unwrap(),
            cmd: all(client.cmd.record()),
            prediction: all(client.prediction.as_ref().unwrap().record()),
        }
    }

    fn fill(&self, client: &mut ClusterClient, row: usize, value: f32) {
        self.state.iter().for_each(|&field| client.state.get_mut(field, row).fill(value));
        client.refs.get_mut(self.narrow, row).fill(value);
        client.refs.get_mut(self.wide, row).fill(value.into());
    }

    /// The row's command, status, prediction and followed refs are of the one round the status says.
    fn check(&self, client: &ClusterClient, row: usize) {
        let status = client.status.of(row);
        if status.round == 0 {
            return;
        }
        let value = value(status.round, row);
        let of_one = |table: &phalanx::Table, fields: &[Handle<f32>]| {
            fields.iter().all(|&field| table.get(field, row).iter().all(|&v| v == answer(value)))
        };
        let refs = client.followed.as_ref().unwrap();
        let whole = of_one(&client.cmd, &self.cmd)
            && of_one(client.prediction.as_ref().unwrap(), &self.prediction)
            && refs.get(self.narrow, row).iter().all(|&v| v == followed(value))
            && refs.get(self.wide, row).iter().all(|&v| v == f64::from(followed(value)))
            && (status.cost, status.violation) == (value.into(), answer(value).into())
            && status.iterations == value as u32;
        assert!(whole, "the client sees row {row} torn: {status:?}");
    }
}

/// Everything of a record is of its round.
fn check(observer: &Observer, record: &RowRecord) {
    let value = f64::from(value(record.round, record.row));
    let of_value = |group, expected: f64| {
        let fields = &observer.manifest().schema.record(group).unwrap().fields;
        for field in fields.iter().filter(|f| f.name != "valid") {
            let values = observer.values(record, group, &field.name).unwrap().unwrap();
            assert!(values.iter().all(|&v| v == expected), "{group}.{} of {record:?}", field.name);
        }
    };
    of_value(Group::State, value);
    of_value(Group::Refs, value + 0.5);
    of_value(Group::Cmd, -value);
    of_value(Group::Prediction, -value);
    let status = |field| observer.values(record, Group::Status, field).unwrap().unwrap()[0];
    assert_eq!([status("round"), status("cost"), status("violation")], [record.round as f64, value, -value]);
    assert_eq!(status("outcome"), f64::from(Outcome::Solved as u8));
    let times = ["posted_ns", "started_ns", "finished_ns"].map(status);
    assert!(times.is_sorted(), "row {} of round {}: {times:?}", record.row, record.round);
}

#[derive(Default)]
struct Counts {
    rounds: u64,
    rows: u64,
    late: u64,
    dead: u64,
    resets: u64,
    kills: AtomicU64,
    stops: AtomicU64,
    records: AtomicU64,
    missed: AtomicU64,
    latest: AtomicU64,
}

#[test]
fn nobody_ever_sees_a_torn_row() {
    let mut table = Table::with(&[
        "controllers",
        "s",
        "rounds",
        "rows asked",
        "late",
        "dead",
        "resets",
        "kills",
        "stops",
        "records",
        "missed",
        "looks",
    ]);
    for (hosted, threads, share) in [("pattern", 1, 0.6), ("patterns", 2, 0.4)] {
        let mut config = config_of(ROWS, 2);
        config.cpu.threads = threads;
        config.history.rounds = 4;
        let config = config.param("busy_us", 300).param("one_in", 97).param("sleep", 0.01);
        let name = config.name.clone();
        let server = ClusterServer::start(config, faulty().hosted(hosted)).unwrap();
        let mut client = server.client().unwrap();
        let mut counts = Counts::default();
        let over = AtomicBool::new(false);
        let time = Duration::from_secs_f64(seconds() * share);
        let dice = Dice(0x9E37_79B9_7F4A_7C15 ^ u64::from(std::process::id()));
        std::thread::scope(|threads| {
            let (records, missed, latest) = (&counts.records, &counts.missed, &counts.latest);
            let (kills, stops) = (&counts.kills, &counts.stops);
            let over = &over;
            let name = &name;
            threads.spawn(move || follow(name, over, records, missed));
            threads.spawn(move || look(name, over, latest));
            threads.spawn(move || trouble(name, over, kills, stops));
            // Over also where an assertion fails, else the others would be waited for.
            let _over = Over(over);
            let done = drive(&mut client, dice, time);
            (counts.rounds, counts.rows, counts.late, counts.dead, counts.resets) = done;
        });
        assert!(counts.rounds > 0 && counts.rows > 0 && counts.records.load(Relaxed) > 0);
        let numbers = [counts.rounds, counts.rows, counts.late, counts.dead, counts.resets];
        let others = [&counts.kills, &counts.stops, &counts.records, &counts.missed, &counts.latest];
        let cells = numbers.into_iter().chain(others.map(|c| c.load(Relaxed))).map(|n| n.to_string());
        let cells: Vec<_> =
            [hosted.to_owned(), format!("{:.1}", time.as_secs_f64())].into_iter().chain(cells).collect();
        table.row(&cells);
        drop((client, server));
        nothing_left(&name);
    }
    table.print("Stress: not one torn row");
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// The client: random rows, deadlines and resets, one to three rounds in flight.
fn drive(client: &mut ClusterClient, mut dice: Dice, time: Duration) -> (u64, u64, u64, u64, u64) {
    let fields = Fields::of(client);
    let (mut rounds, mut asked, mut late, mut dead, mut resets) = (0, 0, 0, 0, 0);
    let mut flying: Vec<(Ticket, Vec<bool>)> = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let busy = |row: usize| flying.iter().any(|(_, mask)| mask[row]);
        let density = 1 + dice.throw(4);
        let mask: Vec<_> = (0..ROWS).map(|row| !busy(row) && dice.throw(4) < density).collect();
        let round = client.round() + 1;
        for row in (0..ROWS).filter(|&row| !busy(row)) {
            // Those not asked are scribbled over: a late row's inputs, too.
            let value = if mask[row] { value(round, row) } else { -1e6 - dice.throw(1000) as f32 };
            fields.fill(client, row, value);
        }
        if dice.throw(16) == 0 {
            let row = dice.throw(ROWS as u64) as usize;
            if !busy(row) {
                client.reset(&[row]).unwrap();
                // Its refs are the defaults now.
                fields.fill(client, row, value(round, row));
                resets += 1;
            }
        }
        flying.push((client.trigger(&mask[..]).unwrap(), mask));
        if flying.len() < 3 && dice.throw(3) == 0 {
            continue;
        }
        let (ticket, mask) = flying.swap_remove(dice.throw(flying.len() as u64) as usize);
        let deadline = match dice.throw(4) {
            0 => Some(Duration::ZERO),
            1 => Some(Duration::from_micros(dice.throw(2000))),
            _ => None,
        };
        let wait = Wait { deadline, timeout: Some(PATIENCE), interrupt: None };
        let report = client.wait(ticket, wait).unwrap();
        rounds += 1;
        for ((&outcome, &reason), &chosen) in report.outcomes().iter().zip(report.reasons()).zip(&mask) {
            assert_eq!(outcome == Outcome::Idle, !chosen);
            asked += u64::from(chosen);
            late += u64::from(outcome == Outcome::Late);
            dead += u64::from(outcome == Outcome::Dead);
            let fine = matches!(outcome, Outcome::Idle | Outcome::Solved | Outcome::Late | Outcome::Dead);
            assert!(fine && matches!(reason, Reason::None | Reason::Rejoined), "{outcome} {reason}");
        }
        let round = report.round;
        let solved: Vec<_> = report.rows(Outcome::Solved).collect();
        solved.iter().for_each(|&row| assert_eq!(client.status.of(row).round, round));
        (0..ROWS).for_each(|row| fields.check(client, row));
    }
    for (ticket, _) in flying {
        client.wait(ticket, Wait::default()).unwrap();
    }
    until("all rows", || {
        let round = client.round() + 1;
        (0..ROWS).for_each(|row| fields.fill(client, row, value(round, row)));
        client.solve(Rows::All).unwrap().all_solved().then_some(())
    });
    (0..ROWS).for_each(|row| fields.check(client, row));
    (rounds, asked, late, dead, resets)
}

/// Sees every answer there is, or knows that it missed it.
fn follow(name: &str, over: &AtomicBool, records: &AtomicU64, missed: &AtomicU64) {
    let observer = Observer::attach(name).unwrap();
    let mut follower = observer.follow(0..ROWS).unwrap();
    let mut last = [0u64; ROWS];
    while !over.load(Relaxed) {
        let seen = follower.poll(|record| {
            check(&observer, record);
            assert!(
                record.round > last[record.row],
                "row {} went back from {}",
                record.row,
                last[record.row]
            );
            last[record.row] = record.round;
        });
        records.fetch_add(seen as u64, Relaxed);
        std::thread::sleep(Duration::from_micros(500));
    }
    missed.fetch_add(follower.missed(), Relaxed);
}

/// Looks at random rows as fast as it can, in the middle of whatever happens to them.
fn look(name: &str, over: &AtomicBool, looks: &AtomicU64) {
    let observer = Observer::attach(name).unwrap();
    let mut dice = Dice(7);
    while !over.load(Relaxed) {
        let row = dice.throw(ROWS as u64) as usize;
        // The oldest of a row's records is where the next one is being written.
        let records = match dice.throw(4) {
            0 => observer.history(row).unwrap(),
            _ => observer.latest(row).unwrap().into_iter().collect(),
        };
        for record in records {
            check(&observer, &record);
            looks.fetch_add(1, Relaxed);
        }
        if dice.throw(64) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Now and then a worker is killed, or stopped for a while.
fn trouble(name: &str, over: &AtomicBool, kills: &AtomicU64, stops: &AtomicU64) {
    let observer = Observer::attach(name).unwrap();
    let mut dice = Dice(99);
    let mut killed = [None::<Instant>; 2];
    while !over.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(50 + dice.throw(150)));
        let worker = observer.workers().swap_remove(dice.throw(2) as usize);
        if worker.pid == 0 || state_of(worker.pid).is_none_or(|(state, _)| state == 'Z') {
            continue;
        }
        // Who dies sooner than that again is replaced with patience, and meanwhile there is nothing to see.
        let settled = killed[worker.worker].is_none_or(|at| at.elapsed() > Duration::from_secs(6));
        if settled && dice.throw(2) == 0 {
            send_if_there(worker.pid, Signal::SIGKILL);
            killed[worker.worker] = Some(Instant::now());
            kills.fetch_add(1, Relaxed);
        } else {
            send_if_there(worker.pid, Signal::SIGSTOP);
            std::thread::sleep(Duration::from_millis(dice.throw(30)));
            send_if_there(worker.pid, Signal::SIGCONT);
            stops.fetch_add(1, Relaxed);
        }
    }
}

/// It may have died by itself since we looked.
fn send_if_there(pid: u32, signal: Signal) {
    if state_of(pid).is_some() {
        send(pid, signal);
    }
}
