//! What is counted is what happened: exactly, whoever failed, was late, died and came back meanwhile.

mod common;

use common::{
    config, config_of, end, exposition::Exposition, fault, hosted, scene::Scene, send, set_ref, until,
    worker_of,
};
use nix::sys::signal::Signal;
use phalanx::{
    ClusterClient, Observer, Operator, Outcome, Reason, Report, Rows, Wait,
    layout::LifeState,
    metrics::{Metrics, text},
    tally::Tallies,
};
use phalanx_faulty::Fault;
use std::{collections::BTreeMap, time::Duration};

#[test]
fn the_reader_here_takes_nothing_that_prometheus_would_not() {
    let good = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{cluster=\"x\\\"\\\\\",b=\"}\"} 1\n";
    assert_eq!(Exposition::parse(good).unwrap().get("a_total{b=\"}\"}"), 1.0);
    for (what, with) in [
        ("\n", ""),
        ("1\n", "one\n"),
        ("1\n", "\n"),
        ("1\n", "NaN\n"),
        ("a_total{", "b_total{"),
        ("counter", "count"),
        ("counter", "gauge"),
        ("# HELP a_total Of a.\n", ""),
        ("# TYPE a_total counter\n", ""),
        ("\",b", "\"b"),
        ("b=\"}\"", "b=}"),
        ("b=\"}\"", "b=\"\\}\""),
        ("b=\"", "0b=\""),
        ("cluster=", "c="),
        ("a_total{cluster=\"x\\\"\\\\\",b=\"}\"} 1\n", "\n"),
    ] {
        let bad = good.replace(what, with);
        assert!(Exposition::parse(&bad).is_err(), "{bad}");
    }
    assert!(Exposition::parse(&good.repeat(2)).is_err());
}

/// What the reports said, added up.
#[derive(Default)]
struct Told {
    rounds: u64,
    overdue: u64,
    outcomes: BTreeMap<u8, u64>,
    reasons: BTreeMap<u8, u64>,
    /// Answered in the round itself, by nothing but words: a client that is slow to notice a death hears of it from
    /// the worker's successor.
    unsolved: u64,
    resets: u64,
}

impl Told {
    fn note(&mut self, report: &Report) -> String {
        self.rounds += 1;
        self.overdue += u64::from(report.count(Outcome::Late) > 0);
        for (outcome, reason) in report.outcomes().iter().zip(report.reasons()) {
            *self.outcomes.entry(*outcome as u8).or_default() += 1;
            if *outcome == Outcome::Failed {
                *self.reasons.entry(*reason as u8).or_default() += 1;
            }
            self.unsolved += u64::from(matches!(reason, Reason::Withdrawn | Reason::Rejoined));
        }
        common::letters(report)
    }

    fn rows(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&(outcome as u8)).copied().unwrap_or(0)
    }

    fn failed(&self, reason: Reason) -> u64 {
        self.reasons.get(&(reason as u8)).copied().unwrap_or(0)
    }
}

/// A simulator whose controllers go wrong in every way.
struct Trouble {
    client: ClusterClient,
    told: Told,
    seed: u64,
}

impl Trouble {
    /// A number below `n`, the same in every run.
    fn random(&mut self, n: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.seed >> 33) % n
    }

    fn rows(&self) -> usize {
        self.client.rows()
    }

    fn solve(&mut self, wait: Wait<'_>) -> String {
        let report = self.client.solve_with(Rows::All, wait).unwrap();
        self.told.note(report)
    }

    /// Every row for itself: well, degraded, failed for each reason, and some of those not reset.
    fn failures(&mut self) {
        let q = self.client.state.handle::<f32>("joint_q").unwrap();
        for row in 0..self.rows() {
            let faults = [Fault::None, Fault::None, Fault::Degrade, Fault::Fail, Fault::Panic, Fault::Nan];
            let any = self.random(faults.len() as u64 + 1) as usize;
            let bad_input = any == faults.len();
            self.client.state.get_mut(q, row)[0] = if bad_input { f32::NAN } else { 0.1 };
            fault(&mut self.client, row, faults.get(any).copied().unwrap_or_default());
        }
        self.solve(Wait::default());
        let failed: Vec<_> = self.client.last_report().rows(Outcome::Failed).collect();
        for row in failed {
            if self.random(3) > 0 {
                self.client.reset(&[row]).unwrap();
                self.told.resets += 1;
            }
        }
    }

    /// All rows well, whatever they were.
    fn recover(&mut self) {
        let q = self.client.state.handle::<f32>("joint_q").unwrap();
        for row in 0..self.rows() {
            self.client.state.get_mut(q, row)[0] = 0.1;
            fault(&mut self.client, row, Fault::None);
        }
        until("all rows to solve", || {
            let letters = self.solve(Wait::default());
            for (row, _) in letters.match_indices('F') {
                self.client.reset(&[row]).unwrap();
                self.told.resets += 1;
            }
            letters.bytes().all(|l| l == b'S').then_some(())
        });
    }

    /// A row takes longer than it may.
    fn lateness(&mut self) {
        self.recover();
        let row = self.random(self.rows() as u64) as usize;
        fault(&mut self.client, row, Fault::Sleep);
        set_ref(&mut self.client, "seconds", row, 0.03);
        let late = self.solve(Wait::until(Duration::from_millis(5)));
        assert!(late.contains('L'), "{late}");
        fault(&mut self.client, row, Fault::None);
        // Still at it: late again, though it is not asked.
        self.solve(Wait::until(Duration::from_micros(100)));
        self.recover();
    }

    /// A controller takes its process along.
    fn death(&mut self) {
        self.recover();
        let row = self.random(self.rows() as u64) as usize;
        fault(&mut self.client, row, Fault::Exit);
        let dead = self.solve(Wait::default());
        assert!(dead.contains('D'), "{dead}");
        self.recover();
    }
}

fn check(observer: &Observer, told: &Told) -> Tallies {
    let tallies = observer.tallies();
    let (client, all) = (&tallies.client, tallies.answers());
    assert_eq!((client.rounds, client.overdue, client.timeouts), (told.rounds, told.overdue, 0));
    let outcomes = [client.solved, client.degraded, client.failed, client.late, client.dead];
    assert_eq!(outcomes, [1, 2, 3, 4, 5].map(|code| told.outcomes.get(&code).copied().unwrap_or(0)));
    // Every ask has come to something; nobody is asked now.
    assert_eq!(client.asked, all.answered(), "{tallies:?}");
    // What was given up was solved late, dropped in time, or went down with its worker.
    let solved_or_dropped = all.solved + all.withdrawn + all.rejoined;
    assert_eq!(solved_or_dropped, told.rows(Outcome::Solved) + told.unsolved + client.withdrawn);
    assert_eq!(all.degraded, told.rows(Outcome::Degraded));
    assert_eq!(all.failed.total(), told.rows(Outcome::Failed));
    let by_reason = [
        (Reason::Controller, all.failed.controller),
        (Reason::Panic, all.failed.panic),
        (Reason::BadInput, all.failed.bad_input),
        (Reason::BadOutput, all.failed.bad_output),
        (Reason::NotReset, all.failed.not_reset),
    ];
    for (reason, counted) in by_reason {
        assert_eq!(counted, told.failed(reason), "{reason:?}");
    }
    let solves = all.solved + all.degraded + all.failed.total() - all.failed.not_reset;
    assert_eq!((all.solve_time.count(), client.round_time.count()), (solves, told.rounds));
    assert!(all.solve_time.sum_s > 0.0 && client.round_time.sum_s > 0.0);
    tallies
}

#[test]
fn every_row_of_every_round_is_counted_once() {
    for (hosted_as, workers, threads) in [("faulty", 2, 1), ("threaded", 1, 3), ("group", 2, 1)] {
        let mut config = config_of(7, workers);
        config.cpu.threads = threads;
        let server = hosted(config, hosted_as);
        let observer = Observer::attach(server.name()).unwrap();
        assert_eq!(observer.tallies().client, Default::default());
        let mut trouble = Trouble { client: server.client().unwrap(), told: Told::default(), seed: 7 };
        let mut before: Option<Exposition> = None;
        let mut deaths = 0;
        for round in 0..240 {
            match round % 120 {
                20 | 80 => trouble.lateness(),
                40 if hosted_as != "group" => {
                    trouble.death();
                    deaths += 1;
                }
                // Asked for nothing, and killed.
                50 => {
                    trouble.recover();
                    send(worker_of(server.name(), 0), Signal::SIGKILL);
                    deaths += 1;
                    until("its death", || {
                        let died: u64 = observer.workers().iter().map(|w| w.deaths).sum();
                        (died == deaths).then_some(())
                    });
                    trouble.recover();
                }
                _ => trouble.failures(),
            }
            let tallies = check(&observer, &trouble.told);
            if round % 10 == 0 {
                let shown = Exposition::parse(&text(&observer)).unwrap();
                compare(&shown, &tallies);
                if let Some(before) = &before {
                    only_grown(before, &shown);
                }
                before = Some(shown);
            }
        }
        trouble.recover();
        let tallies = check(&observer, &trouble.told);
        let all = tallies.answers();
        assert_eq!(all.resets, trouble.told.resets, "{hosted_as}");
        assert!(all.rejoined > 0 || hosted_as == "group", "{all:?}");
        assert!(tallies.client.late > 0 && trouble.told.rounds > 200);
        let shown = Exposition::parse(&text(&observer)).unwrap();
        let deaths_shown: f64 =
            (0..workers).map(|w| shown.get(&format!("phalanx_worker_deaths_total{{worker=\"{w}\"}}"))).sum();
        assert_eq!(deaths_shown as u64, deaths);
        let respawns: f64 = (0..workers)
            .map(|w| shown.get(&format!("phalanx_worker_respawns_total{{worker=\"{w}\"}}")))
            .sum();
        assert_eq!(respawns as u64, deaths);
        // The next client goes on counting.
        let Trouble { client, told, seed } = trouble;
        drop(client);
        let mut trouble = Trouble { client: server.client().unwrap(), told, seed };
        trouble.failures();
        check(&observer, &trouble.told);
        end(trouble.client, server);
    }
}

fn only_grown(before: &Exposition, now: &Exposition) {
    for (key, value) in &before.samples {
        let family =
            before.kinds.keys().filter(|name| key.starts_with(name.as_str())).max_by_key(|n| n.len());
        if before.kinds[family.unwrap()] != "gauge" {
            assert!(now.get(key) >= *value, "{key}: {value}, then {}", now.get(key));
        }
    }
}

fn compare(shown: &Exposition, tallies: &Tallies) {
    let (client, all) = (&tallies.client, tallies.answers());
    for (key, value) in [
        ("phalanx_rounds_total", client.rounds),
        ("phalanx_rounds_overdue_total", client.overdue),
        ("phalanx_round_timeouts_total", 0),
        ("phalanx_asks_total", client.asked),
        ("phalanx_asks_given_up_total", client.withdrawn),
        ("phalanx_row_outcomes_total{outcome=\"solved\"}", client.solved),
        ("phalanx_row_outcomes_total{outcome=\"degraded\"}", client.degraded),
        ("phalanx_row_outcomes_total{outcome=\"failed\"}", client.failed),
        ("phalanx_row_outcomes_total{outcome=\"late\"}", client.late),
        ("phalanx_row_outcomes_total{outcome=\"dead\"}", client.dead),
        ("phalanx_answers_total{outcome=\"solved\"}", all.solved),
        ("phalanx_answers_total{outcome=\"degraded\"}", all.degraded),
        ("phalanx_answers_total{outcome=\"failed\"}", all.failed.total()),
        ("phalanx_failures_total{reason=\"panic\"}", all.failed.panic),
        ("phalanx_failures_total{reason=\"not_reset\"}", all.failed.not_reset),
        ("phalanx_asks_dropped_total{reason=\"rejoined\"}", all.rejoined),
        ("phalanx_resets_total", all.resets),
        ("phalanx_solve_seconds_count", all.solve_time.count()),
        ("phalanx_round_seconds_count", client.rounds),
        ("phalanx_round_seconds_bucket{le=\"+Inf\"}", client.rounds),
    ] {
        assert_eq!(shown.get(key) as u64, value, "{key}");
    }
    assert_eq!(shown.get("phalanx_solve_seconds_sum"), all.solve_time.sum_s);
}

#[test]
fn the_present_is_shown_as_it_is() {
    let server = hosted(config_of(5, 2), "faulty");
    let observer = Observer::attach(server.name()).unwrap();
    let shown = || Exposition::parse(&text(&observer)).unwrap();
    let rows = |shown: &Exposition| {
        ["idle", "solved", "degraded", "failed", "late", "dead"]
            .map(|state| shown.get(&format!("phalanx_rows{{state=\"{state}\"}}")))
    };
    let now = shown();
    assert_eq!(rows(&now), [5.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(!now.samples.contains_key("phalanx_last_round_age_seconds"), "there was none");
    assert!(!now.samples.contains_key("phalanx_realtime_factor"));
    assert_eq!((now.get("phalanx_up"), now.get("phalanx_clients")), (1.0, 0.0));
    assert_eq!(now.get("phalanx_phase{phase=\"ready\"}"), 1.0);

    let mut client = server.client().unwrap();
    client.set_sim_time(100.0);
    client.solve(Rows::All).unwrap();
    let operator = Operator::attach(server.name()).unwrap();
    operator.set(2, &[("speed", &[0.3])]).unwrap();
    fault(&mut client, 0, Fault::Fail);
    fault(&mut client, 1, Fault::Degrade);
    fault(&mut client, 4, Fault::Sleep);
    set_ref(&mut client, "seconds", 4, 60.0);
    client.set_sim_time(200.0);
    let report = client.solve_with(Rows::All, Wait::until(Duration::from_millis(500))).unwrap();
    let letters = common::letters(report);
    let now = shown();
    assert_eq!(letters, "FGSSL");
    assert_eq!(rows(&now), [0.0, 2.0, 1.0, 1.0, 1.0, 0.0]);
    assert_eq!(now.get("phalanx_overridden_rows"), 1.0);
    assert_eq!(now.get("phalanx_oldest_command_age_rounds"), 1.0);
    assert_eq!((now.get("phalanx_clients"), now.get("phalanx_operators")), (1.0, 1.0));
    let age = now.get("phalanx_last_round_age_seconds");
    assert!(age > 0.5 && age < now.get("phalanx_uptime_seconds"), "{age}");
    let metrics = Metrics::of(&observer);
    let [newest, oldest] = observer.rounds()[..] else { panic!("two rounds") };
    let real_s = (newest.posted_ns - oldest.posted_ns) as f64 * 1e-9;
    assert_eq!(metrics.realtime_factor, Some(100.0 / real_s));
    assert_eq!(now.get("phalanx_realtime_factor"), 100.0 / real_s);
    assert_eq!(metrics.shared_memory_bytes, observer.bytes());
    assert!(now.get("phalanx_worker_resident_memory_bytes{worker=\"1\"}") > 1e5);
    let json: serde_json::Value = serde_json::to_value(&metrics).unwrap();
    assert_eq!((&json["rows"]["failed"], &json["tallies"]["client"]["rounds"]), (&1.into(), &2.into()));

    let observed = || observer.workers()[1].clone();
    let killed = observed().pid;
    send(killed, Signal::SIGKILL);
    until("a new process", || {
        (observed().state == LifeState::Ready && observed().pid != killed).then_some(())
    });
    assert_eq!(observed().deaths, 1);
    let now = shown();
    assert_eq!(now.get("phalanx_worker_up{worker=\"1\"}"), 1.0);
    assert_eq!(rows(&now), [0.0, 2.0, 1.0, 1.0, 0.0, 1.0], "what it owed went down with it");
    drop(operator);
    end(client, server);
}

#[test]
fn wherever_a_worker_is_killed_every_ask_comes_to_one_thing() {
    for stage in ["copying_in", "solving", "publishing", "between"] {
        let config = config_of(4, 2).param("fault", "kill").param("stage", stage).param("once", true);
        let mut scene = Scene::of(config.param("row", 3).param("round", 3), "faulty");
        let mut told = Told::default();
        until("a round after the death", || {
            let report = scene.client.solve(Rows::All).unwrap();
            let letters = told.note(report);
            (scene.worker(1).generation == 2 && letters == "SSSS").then_some(())
        });
        let all = check(&scene.observer, &told).answers();
        // Between: it had answered, and both its rows were asked again or neither was.
        let owed = if stage == "between" { &[0, 2][..] } else { &[1] };
        assert!(owed.contains(&all.rejoined), "{stage}: {all:?}");
        scene.end();
    }
}

#[test]
fn a_timeout_is_counted_with_its_rows() {
    let server = hosted(config(2), "plain");
    let observer = Observer::attach(server.name()).unwrap();
    let mut client = server.client().unwrap();
    fault(&mut client, 1, Fault::Sleep);
    set_ref(&mut client, "seconds", 1, 0.1);
    let wait = Wait { timeout: Some(Duration::from_millis(20)), ..Wait::default() };
    assert!(client.solve_with(Rows::All, wait).is_err());
    let Tallies { client: counted, .. } = observer.tallies();
    assert_eq!((counted.rounds, counted.timeouts, counted.overdue), (1, 1, 1));
    assert_eq!(counted.late, client.last_report().count(Outcome::Late) as u64);
    assert_eq!((counted.asked, counted.withdrawn), (2, counted.late));
    end(client, server);
}
