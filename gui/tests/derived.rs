//! Derived curves are what their names say, record by record and filled in later alike.

use phalanx::{
    ClusterConfig, Field, Group, LocalCluster,
    layout::Manifest,
    observer::{RoundView, RowRecord},
    robot::{QuatOrder, RobotSpec},
};
use phalanx_faulty::Faulty;
use phalanx_gui::data::{Axis, Budgets, Channel, Curve, Operation, Pick, Store, Wants};
use std::{
    f64::consts::{FRAC_PI_2, FRAC_PI_3, FRAC_PI_4, FRAC_PI_6},
    sync::atomic::{AtomicU32, Ordering},
};

fn manifest(rows: usize, order: QuatOrder) -> Manifest {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut robot = RobotSpec::new("leg", ["hip", "knee"]).unwrap();
    robot.quat_order = order;
    let name = format!("d{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut config = ClusterConfig::new(&name, rows, robot);
    let odd = Field::new("camera", "", "its orientation").shape(&[4]).frame("world, order xyzw");
    config.state_extras.push(odd);
    LocalCluster::start::<Faulty>(config, "faulty").unwrap().manifest().clone()
}

/// A round of a row with some of its values.
struct Answer<'a>(usize, u64, &'a [(Group, &'a str, Vec<f64>)]);

/// Rounds are 20 ms of simulated time apart, from 5 s on.
fn sim_s(round: u64) -> f64 {
    5.0 + 0.02 * round as f64
}

fn posted_ns(round: u64) -> u64 {
    1_000_000_000 + round * 10_000_000
}

fn record(store: &Store, Answer(row, round, values): Answer<'_>) -> RowRecord {
    let words = Group::ALL.map(|group| {
        let record = store.manifest.schema.record(group).ok()?;
        let mut words = record.default_row();
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        let posted = [(Group::Status, "posted_ns", vec![posted_ns(round) as f64])];
        for (_, field, values) in values.iter().chain(&posted).filter(|(of, ..)| *of == group) {
            let field = record.field(field).unwrap();
            for (value, element) in
                values.iter().zip(bytes[field.bytes()].chunks_exact_mut(field.dtype.size()))
            {
                field.dtype.write_f64(*value, element);
            }
        }
        Some(words)
    });
    RowRecord::new(&store.layout, (row, round, round), |group| words[group as usize].as_deref())
}

fn store(manifest: &Manifest, rounds: u64) -> Store {
    let mut store = Store::new("x", manifest.clone()).unwrap();
    for round in 1..=rounds {
        let (sim_time_s, posted_ns) = (sim_s(round), posted_ns(round));
        store.note_round(RoundView { round, posted_ns, sim_time_s, ..RoundView::default() });
    }
    store
}

fn q(row: usize, element: usize) -> Channel {
    Pick::new(Group::Cmd, "joint_q", element).of(row)
}

fn wants(curves: &[Curve]) -> Wants {
    Wants { curves: curves.iter().cloned().collect(), ..Wants::default() }
}

/// Round and value of all samples.
fn samples(store: &Store, curve: &Curve) -> Vec<(u64, f64)> {
    let series = store.series(curve).unwrap_or_else(|| panic!("{:?}", store.problem(curve)));
    series.samples(Axis::Wall, f64::NEG_INFINITY..=f64::INFINITY).map(|(at, v)| (at.round, v)).collect()
}

/// Both ways to a curve: following it, and asking for it when the records are there.
fn both(manifest: &Manifest, rounds: u64, curve: &Curve, answers: &[Answer<'_>]) -> Vec<(u64, f64)> {
    let (mut followed, mut filled) = (store(manifest, rounds), store(manifest, rounds));
    followed.want(&wants(std::slice::from_ref(curve)));
    for Answer(row, round, values) in answers {
        let record = record(&followed, Answer(*row, *round, values));
        followed.ingest(record.clone());
        filled.ingest(record);
    }
    filled.want(&wants(std::slice::from_ref(curve)));
    let all = samples(&followed, curve);
    let bits = |all: &[(u64, f64)]| all.iter().map(|(round, v)| (*round, v.to_bits())).collect::<Vec<_>>();
    assert_eq!(bits(&all), bits(&samples(&filled, curve)));
    all
}

#[test]
fn differences_and_norms_of_several_rows_are_of_one_round() {
    let manifest = manifest(3, QuatOrder::Wxyz);
    let value = |row: usize, round: u64| (row * 100) as f64 + round as f64;
    let values: Vec<_> = (0..3 * 40)
        .map(|n| (n / 40, n as u64 % 40 + 1))
        .map(|(row, round)| (row, round, [(Group::Cmd, "joint_q", vec![value(row, round), -1.0])]))
        .collect();
    // Row 1 comes before row 0, a batch at a time, and missed rounds 5 to 9.
    let mut answers = Vec::new();
    for batch in (1..=40u64).collect::<Vec<_>>().chunks(8) {
        for row in [1, 0] {
            let of = |round: &&u64| row == 0 || !(5..10).contains(*round);
            for round in batch.iter().filter(of) {
                let (_, _, values) = &values[row * 40 + *round as usize - 1];
                answers.push(Answer(row, *round, values));
            }
        }
    }
    let curve = Curve::Derived(Operation::Difference, vec![q(0, 0), q(1, 0)]);
    let expected: Vec<_> = (1..=40).filter(|r| !(5..10).contains(r)).map(|r| (r, -100.0)).collect();
    assert_eq!(both(&manifest, 40, &curve, &answers), expected);
    let curve = Curve::Derived(Operation::Norm, vec![q(0, 0), q(1, 0), q(1, 1)]);
    let norm = |r: u64| (value(0, r).powi(2) + value(1, r).powi(2) + 1.0).sqrt();
    for ((round, value), (expected, _)) in both(&manifest, 40, &curve, &answers).into_iter().zip(expected) {
        assert_eq!(round, expected);
        assert!((value - norm(round)).abs() < 1e-9);
    }
    // A row that never answers holds nobody up, and nothing piles up for it.
    let curve = Curve::Derived(Operation::Difference, vec![q(0, 0), q(2, 0)]);
    assert!(both(&manifest, 40, &curve, &answers).is_empty());
}

#[test]
fn derivatives_are_per_simulated_second() {
    let manifest = manifest(1, QuatOrder::Wxyz);
    let values: Vec<_> = (1..=20u64)
        .map(|r| (r, [(Group::Cmd, "joint_q", vec![if r == 9 { f64::NAN } else { (r * r) as f64 }])]))
        .collect();
    let answers: Vec<_> = values.iter().filter(|(r, _)| *r != 15).map(|(r, v)| Answer(0, *r, v)).collect();
    let curve = Curve::Derived(Operation::Derivative, vec![q(0, 0)]);
    let all = both(&manifest, 20, &curve, &answers);
    assert_eq!(all.len(), 18, "the first has none");
    for (round, slope) in all {
        let before = if round == 16 { 14 } else { round - 1 };
        if [9, 10].contains(&round) {
            assert!(slope.is_nan());
        } else {
            let expected = (round * round - before * before) as f64 / (0.02 * (round - before) as f64);
            assert!((slope - expected).abs() < 1e-6 * expected, "{round}: {slope} is not {expected}");
        }
    }
}

#[test]
fn means_are_over_simulated_time_and_forget_what_has_left() {
    let manifest = manifest(1, QuatOrder::Wxyz);
    let value = |r: u64| match r {
        30 => 1e30,
        60 => f64::INFINITY,
        _ => (r % 7) as f64,
    };
    let values: Vec<_> = (1..=100u64).map(|r| (r, [(Group::Cmd, "joint_q", vec![value(r)])])).collect();
    let answers: Vec<_> = values.iter().map(|(r, v)| Answer(0, *r, v)).collect();
    // Five rounds: the one that is 100 ms old has left.
    let curve = Curve::Derived(Operation::MovingAverage(99), vec![q(0, 0)]);
    for (round, mean) in both(&manifest, 100, &curve, &answers) {
        let from = (1..=round).rev().take_while(|r| value(*r).is_finite()).take(5);
        let (count, sum) =
            from.fold((0, 0.0), |(count, sum), r| (count + 1, sum + f64::from(value(r) as f32)));
        if count == 0 {
            assert!(mean.is_nan());
        } else {
            assert!(
                (mean - sum / f64::from(count)).abs() <= 1e-9 * sum.abs(),
                "{round}: {mean}, {sum} / {count}"
            );
        }
    }
}

#[test]
fn a_clients_new_time_begins_derivatives_and_means_anew() {
    let manifest = manifest(1, QuatOrder::Wxyz);
    let mut store = Store::new("x", manifest).unwrap();
    let curves =
        [Operation::Derivative, Operation::MovingAverage(1000)].map(|o| Curve::Derived(o, vec![q(0, 0)]));
    store.want(&wants(&curves));
    for round in 1..=20u64 {
        let sim_time_s = if round <= 10 { 50.0 + round as f64 * 0.01 } else { round as f64 * 0.01 };
        store.note_round(RoundView {
            round,
            posted_ns: posted_ns(round),
            sim_time_s,
            ..RoundView::default()
        });
        let values = [(Group::Cmd, "joint_q", vec![if round <= 10 { 100.0 } else { 3.0 }])];
        store.ingest(record(&store, Answer(0, round, &values)));
    }
    let slopes = samples(&store, &curves[0]);
    assert!(slopes.iter().all(|(round, v)| if *round == 11 { v.is_nan() } else { *v == 0.0 }), "{slopes:?}");
    let means = samples(&store, &curves[1]);
    assert!(
        means.iter().all(|(round, v)| (v - if *round <= 10 { 100.0 } else { 3.0 }).abs() < 1e-9),
        "{means:?}"
    );
}

/// wxyz of rotations about z, then the new y, then the new x.
fn quat(roll: f64, pitch: f64, yaw: f64) -> [f64; 4] {
    let [(sr, cr), (sp, cp), (sy, cy)] = [roll, pitch, yaw].map(|angle| (angle / 2.0).sin_cos());
    [
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    ]
}

#[test]
fn angles_of_a_quaternion_honour_the_order_its_field_declares() {
    let angles = [
        (0.0, 0.0, 0.0),
        (FRAC_PI_3, 0.0, 0.0),
        (0.0, -FRAC_PI_4, 0.0),
        (0.0, 0.0, 3.0),
        (0.3, FRAC_PI_6, -2.0),
        (0.0, FRAC_PI_2, 0.0),
    ];
    for order in [QuatOrder::Wxyz, QuatOrder::Xyzw] {
        let manifest = manifest(1, order);
        for (roll, pitch, yaw) in angles {
            let [w, x, y, z] = quat(roll, pitch, yaw).map(|q| 2.0 * q);
            let xyzw = vec![x, y, z, w];
            let root = if order == QuatOrder::Wxyz { vec![w, x, y, z] } else { xyzw.clone() };
            let values = [(Group::State, "root_quat", root), (Group::State, "camera", xyzw)];
            for (operation, expected) in
                [(Operation::Roll, roll), (Operation::Pitch, pitch), (Operation::Yaw, yaw)]
            {
                for field in ["root_quat", "camera"] {
                    let channels = (0..4).map(|i| Pick::new(Group::State, field, i).of(0)).collect();
                    let curve = Curve::Derived(operation, channels);
                    let [(_, angle)] = both(&manifest, 1, &curve, &[Answer(0, 1, &values)])[..] else {
                        panic!()
                    };
                    // Where it looks straight up roll and yaw are one.
                    if pitch < FRAC_PI_2 || operation == Operation::Pitch {
                        let slack = if pitch == FRAC_PI_2 { 2e-3 } else { 1e-6 };
                        assert!(
                            (angle - expected).abs() < slack,
                            "{operation} of {field}: {angle}, not {expected}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_quaternion_of_nothing_has_no_angles() {
    let manifest = manifest(1, QuatOrder::Wxyz);
    let values = [(Group::State, "root_quat", vec![0.0; 4])];
    for operation in [Operation::Roll, Operation::Pitch, Operation::Yaw] {
        let channels = (0..4).map(|i| Pick::new(Group::State, "root_quat", i).of(0)).collect();
        let all = both(&manifest, 1, &Curve::Derived(operation, channels), &[Answer(0, 1, &values)]);
        assert!(all[0].1.is_nan());
    }
}

#[test]
fn what_cannot_be_made_is_said_in_words() {
    let manifest = manifest(2, QuatOrder::Wxyz);
    let mut store = store(&manifest, 1);
    for (curve, says) in [
        (Curve::Derived(Operation::Difference, vec![q(0, 0)]), "difference is made of 2 channels"),
        (Curve::Derived(Operation::Roll, vec![q(0, 0), q(0, 1)]), "roll is made of 4 channels"),
        (Curve::Derived(Operation::Norm, vec![]), "at least 1"),
        (Curve::Channel(q(7, 0)), "no row 7"),
        (Curve::Channel(q(0, 9)), "2 elements"),
        (Curve::Channel(Pick::new(Group::Cmd, "joint_x", 0).of(0)), "no field \"joint_x\""),
        (Curve::Channel(Pick::new(Group::Prediction, "time", 0).of(0)), "no prediction"),
    ] {
        store.want(&wants(std::slice::from_ref(&curve)));
        assert!(store.series(&curve).is_none());
        let why = store.problem(&curve).unwrap();
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn records_share_one_budget_and_the_oldest_of_all_goes_first() {
    let manifest = manifest(3, QuatOrder::Wxyz);
    let budgets = Budgets { records: 100_000, ..Budgets::default() };
    let mut store = Store::within("x", manifest, budgets).unwrap();
    for round in 1..=1000 {
        let (sim_time_s, posted_ns) = (sim_s(round), posted_ns(round));
        store.note_round(RoundView { round, posted_ns, sim_time_s, ..RoundView::default() });
    }
    for round in 1..=1000u64 {
        let rows = if round <= 900 { 0..2 } else { 2..3 };
        for row in rows {
            store.ingest(record(&store, Answer(row, round, &[])));
        }
    }
    let first = |row| store.records(row).next().map(|record| record.round);
    let each = 100_000 / (0..3).map(|row| store.records(row).len()).sum::<usize>();
    assert!((8 * store.layout.slot_words..2000).contains(&each), "{each} bytes each");
    let kept = first(0).unwrap();
    assert!(first(1).is_some_and(|round| round.abs_diff(kept) <= 1) && kept > 500);
    assert_eq!((store.records(2).len(), first(2)), (100, Some(901)));
    assert_eq!(store.record_at(0, Axis::Rounds, 1000.0).unwrap().round, 900);
    assert_eq!(store.record_at(0, Axis::Sim, sim_s(890) + 0.001).unwrap().round, 890);
    assert!(store.record_at(0, Axis::Rounds, 1.0).is_none());
}
