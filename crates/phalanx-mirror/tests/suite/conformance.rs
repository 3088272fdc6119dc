//! Examples of what every engine must do.

use super::cluster::{Params, config, host, noise, params, scribble, start, values, word};
use phalanx::{ClusterClient, Dtype, Outcome, Rows, Wait};
use phalanx_mirror::{Direction, Engine, FieldView, Mirror, MirrorError, Stream, Structure};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{alloc::System, time::Duration};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const S: Stream = Stream::DEFAULT;

/// All fields of a mirror.
pub fn fields(mirror: &Mirror) -> Vec<(Structure, String)> {
    let names = |structure| mirror.record(structure).unwrap().fields.iter().map(|field| field.name.clone());
    mirror.structures().flat_map(|structure| names(structure).map(move |name| (structure, name))).collect()
}

/// Everything the device holds.
pub fn all(mirror: &Mirror) -> Vec<Vec<u8>> {
    fields(mirror).iter().map(|(structure, name)| mirror.read(*structure, name, S).unwrap()).collect()
}

/// What device and host hold of each field is the same, in these structures.
#[track_caller]
pub fn agree(mirror: &Mirror, client: &ClusterClient, which: impl Fn(Structure) -> bool) {
    for (structure, name) in fields(mirror).iter().filter(|(structure, _)| which(*structure)) {
        let device = mirror.read(*structure, name, S).unwrap();
        assert_eq!(device, host(client, *structure, name), "{structure}.{name}");
    }
}

fn outputs(structure: Structure) -> bool {
    structure.direction() == Direction::ToDevice
}

fn as_f32(bytes: &[u8]) -> Vec<f32> {
    values(bytes)
}

pub fn the_device_begins_with_what_the_host_has(engine: &dyn Engine) {
    let (_server, mut client) = start(config(3), &params());
    for structure in Structure::ALL {
        scribble(&mut client, structure, noise(structure as u64 + 1));
    }
    let mirror = Mirror::new(engine, &client).unwrap();
    assert_eq!(mirror.structures().collect::<Vec<_>>(), Structure::ALL);
    assert_eq!((mirror.rows(), mirror.device()), (3, engine.device()));
    agree(&mirror, &client, |_| true);

    let (_server, client) = start(config(2), &Params::default());
    let mirror = Mirror::new(engine, &client).unwrap();
    assert_eq!(mirror.structures().collect::<Vec<_>>(), Structure::ALL[..4]);
    agree(&mirror, &client, |_| true);
}

pub fn a_round_goes_there_and_back(engine: &dyn Engine) {
    let (_server, mut client) = start(config(4), &params());
    let mut mirror = Mirror::new(engine, &client).unwrap();
    for round in 1..=5u64 {
        let q: Vec<f32> = (0..12).map(|i| i as f32 + 100.0 * round as f32).collect();
        mirror.write(Structure::State, "joint_q", bytemuck::cast_slice(&q), S).unwrap();
        let report = mirror.solve(&mut client, Rows::All, S).unwrap();
        assert!(report.all_solved());
        assert_eq!(report.round, round);
        assert_eq!(as_f32(&host(&client, Structure::State, "joint_q")), q);
        agree(&mirror, &client, |_| true);
        let effort = as_f32(&mirror.read(Structure::Cmd, "joint_effort", S).unwrap());
        let want = |row: usize| f32::from_bits(word(Structure::Cmd, row, round) as u32);
        assert!((0..12).all(|i| effort[i] == want(i / 3)), "{effort:?}");
        let rounds = mirror.read(Structure::Status, "round", S).unwrap();
        assert_eq!(values::<u64>(&rounds), [round; 4]);
    }
    let times = mirror.times();
    assert!(times.inputs_us > 0.0 && times.outputs_us > 0.0);
}

pub fn rows_that_are_not_chosen_stay_on_the_host(engine: &dyn Engine) {
    let (_server, mut client) = start(config(6), &params());
    let mut mirror = Mirror::new(engine, &client).unwrap();
    for (chosen, ids) in [
        (Rows::Ids(&[4, 0, 1]), &[0, 1, 4][..]),
        (Rows::Mask(&[false, true, false, true, false, true]), &[1, 3, 5]),
        (Rows::Range(2, 2), &[]),
    ] {
        let marks: Vec<f32> = (0..18).map(|i| i as f32 + 1.0).collect();
        mirror.write(Structure::State, "joint_v", bytemuck::cast_slice(&marks), S).unwrap();
        mirror.write(Structure::Refs, "height", bytemuck::cast_slice(&marks[..6]), S).unwrap();
        scribble(&mut client, Structure::State, || 0);
        scribble(&mut client, Structure::Refs, || 0);
        mirror.before_round(&mut client, chosen, S).unwrap();
        let v = as_f32(&host(&client, Structure::State, "joint_v"));
        let height = as_f32(&host(&client, Structure::Refs, "height"));
        for row in 0..6 {
            let brought = ids.contains(&row);
            let want = |i: usize| if brought { marks[i] } else { 0.0 };
            assert!((3 * row..3 * row + 3).all(|i| v[i] == want(i)), "row {row}: {v:?}");
            assert_eq!(height[row..=row], [want(row)], "row {row}");
        }
    }
    // A round of some rows answers these, and only these.
    assert!(mirror.solve(&mut client, &[5, 2], S).unwrap().outcomes()[2] == Outcome::Solved);
    let round = client.round();
    let effort = as_f32(&mirror.read(Structure::Cmd, "joint_effort", S).unwrap());
    for row in 0..6 {
        let want =
            if row == 2 || row == 5 { f32::from_bits(word(Structure::Cmd, row, round) as u32) } else { 0.0 };
        assert_eq!(effort[3 * row], want, "row {row}");
    }
}

pub fn rows_in_flight_are_left_alone(engine: &dyn Engine) {
    let (_server, mut client) = start(config(4), &params());
    let mut mirror = Mirror::new(engine, &client).unwrap();
    let ones = |value: f32| bytemuck::cast_slice(&[value; 12]).to_vec();
    for turn in 0..3 {
        let base = 10.0 * turn as f32;
        mirror.write(Structure::State, "joint_q", &ones(base + 1.0), S).unwrap();
        let left = mirror.trigger(&mut client, Rows::Range(0, 2), S).unwrap();
        mirror.write(Structure::State, "joint_q", &ones(base + 2.0), S).unwrap();
        let right = mirror.trigger(&mut client, Rows::Range(2, 4), S).unwrap();
        let q = as_f32(&host(&client, Structure::State, "joint_q"));
        assert_eq!(q[..6], [base + 1.0; 6], "in flight");
        assert_eq!(q[6..], [base + 2.0; 6], "triggered now");
        let rounds = [left.round(), right.round()];
        assert!(mirror.wait(&mut client, left, Wait::default(), S).unwrap().outcomes()[0] == Outcome::Solved);
        agree(&mirror, &client, outputs);
        assert!(
            mirror.wait(&mut client, right, Wait::default(), S).unwrap().outcomes()[3] == Outcome::Solved
        );
        agree(&mirror, &client, outputs);
        let effort = as_f32(&mirror.read(Structure::Cmd, "joint_effort", S).unwrap());
        let want = |row: usize| f32::from_bits(word(Structure::Cmd, row, rounds[row / 2]) as u32);
        assert!((0..4).all(|row| effort[3 * row] == want(row)));
    }
    // Nothing in flight any more: one copy of everything.
    mirror.write(Structure::State, "joint_q", &ones(5.0), S).unwrap();
    mirror.solve(&mut client, 1..2, S).unwrap();
    assert_eq!(as_f32(&host(&client, Structure::State, "joint_q")), [5.0; 12]);
}

pub fn a_reset_shows_at_once(engine: &dyn Engine) {
    let (_server, mut client) = start(config(5), &params());
    let mut mirror = Mirror::new(engine, &client).unwrap();
    let heights = [1.0f32, 2.0, 3.0, 4.0, 5.0];
    mirror.write(Structure::Refs, "height", bytemuck::cast_slice(&heights), S).unwrap();
    let state = mirror.read(Structure::State, "joint_q", S).unwrap();
    mirror.reset(&mut client, Rows::Ids(&[3, 0, 4]), S).unwrap();
    let want = [0.25, 2.0, 3.0, 0.25, 0.25];
    assert_eq!(as_f32(&mirror.read(Structure::Refs, "height", S).unwrap()), want);
    assert_eq!(mirror.read(Structure::Refs, "gait", S).unwrap(), [7; 5]);
    assert_eq!(mirror.read(Structure::State, "joint_q", S).unwrap(), state);
    // On other streams, one after the other: the round sees the last of it.
    mirror.write(Structure::Refs, "height", bytemuck::cast_slice(&heights), S).unwrap();
    mirror.reset(&mut client, Rows::Range(1, 3), Stream::PER_THREAD).unwrap();
    mirror.reset(&mut client, Rows::Ids(&[0]), S).unwrap();
    let report = mirror.solve(&mut client, Rows::All, Stream::PER_THREAD).unwrap();
    assert!(report.all_solved());
    assert_eq!(as_f32(&host(&client, Structure::Refs, "height")), [0.25, 0.25, 0.25, 4.0, 5.0]);
    mirror.reset(&mut client, Rows::All, S).unwrap();
    mirror.reset(&mut client, Rows::Range(2, 2), S).unwrap();
    assert_eq!(as_f32(&mirror.read(Structure::Refs, "height", S).unwrap()), [0.25; 5]);
}

pub fn a_late_row_is_seen_on_the_device(engine: &dyn Engine) {
    let (_server, mut client) = start(config(2), &Params { slow: Some(1), ..params() });
    let mut mirror = Mirror::new(engine, &client).unwrap();
    let outcome = |mirror: &Mirror| mirror.read(Structure::Status, "outcome", S).unwrap();
    let deadline = Wait::until(Duration::from_millis(60));
    let report = mirror.solve_with(&mut client, Rows::All, deadline, S).unwrap();
    assert_eq!(report.outcomes()[1], Outcome::Late);
    assert_eq!(outcome(&mirror)[1], Outcome::Late as u8);
    // An error of the round is not the end of the copy: the device knows as much as the client.
    std::thread::sleep(Duration::from_millis(400));
    let timeout = Wait { timeout: Some(Duration::from_millis(60)), ..Wait::default() };
    let error = mirror.solve_with(&mut client, Rows::All, timeout, S).unwrap_err();
    assert!(matches!(error, MirrorError::Cluster(phalanx::Error::Timeout { .. })), "{error}");
    agree(&mirror, &client, outputs);
    assert!(mirror.solve(&mut client, 0..1, S).is_ok());
    agree(&mirror, &client, outputs);
}

/// The device may read the host's rows late. Whoever writes them after a fence must not change what it gets.
pub fn the_host_may_write_after_the_fences(engine: &dyn Engine) {
    let (_server, mut client) = start(config(3), &params());
    let mut mirror = Mirror::new(engine, &client).unwrap();
    for stream in [S, Stream::PER_THREAD] {
        scribble(&mut client, Structure::Cmd, noise(7));
        let before = host(&client, Structure::Cmd, "joint_effort");
        mirror.after_round(&mut client, stream).unwrap();
        mirror.before_gather().unwrap();
        scribble(&mut client, Structure::Cmd, noise(8));
        assert_eq!(mirror.read(Structure::Cmd, "joint_effort", stream).unwrap(), before, "before_gather");

        mirror.after_round(&mut client, stream).unwrap();
        let before = host(&client, Structure::Cmd, "joint_effort");
        mirror.before_round(&mut client, Rows::All, S).unwrap();
        scribble(&mut client, Structure::Cmd, noise(9));
        assert_eq!(mirror.read(Structure::Cmd, "joint_effort", stream).unwrap(), before, "before_round");

        scribble(&mut client, Structure::Refs, noise(10));
        let before = host(&client, Structure::Refs, "height");
        mirror.rows_reset(&client, Rows::All, stream).unwrap();
        mirror.reset(&mut client, Rows::Range(0, 0), S).unwrap();
        scribble(&mut client, Structure::Refs, noise(11));
        assert_eq!(mirror.read(Structure::Refs, "height", stream).unwrap(), before, "reset");
    }
}

/// An upload may be done late. Whoever reads or writes on another stream comes after it all the same.
pub fn other_streams_see_what_was_brought(engine: &dyn Engine) {
    let (_server, mut client) = start(config(3), &params());
    let mut mirror = Mirror::new(engine, &client).unwrap();
    for (turn, (one, other)) in [(S, Stream::PER_THREAD), (Stream::PER_THREAD, S)].into_iter().enumerate() {
        scribble(&mut client, Structure::Cmd, noise(20 + turn as u64));
        mirror.after_round(&mut client, one).unwrap();
        let device = mirror.read(Structure::Cmd, "joint_effort", other).unwrap();
        assert_eq!(device, host(&client, Structure::Cmd, "joint_effort"), "read");
        mirror.before_gather().unwrap();

        scribble(&mut client, Structure::Cmd, noise(30 + turn as u64));
        mirror.after_round(&mut client, one).unwrap();
        let mine: Vec<u8> = (0..36).collect();
        mirror.write(Structure::Cmd, "joint_effort", &mine, other).unwrap();
        mirror.before_gather().unwrap();
        assert_eq!(mirror.read(Structure::Cmd, "joint_effort", S).unwrap(), mine, "write");
        // Its neighbours are the upload's.
        let q = mirror.read(Structure::Cmd, "joint_q", other).unwrap();
        assert_eq!(q, host(&client, Structure::Cmd, "joint_q"), "beside what was written");
    }
    // What waits for uploads outlives the image.
    let view = mirror.field(Structure::Cmd, "joint_q").unwrap();
    mirror.after_round(&mut client, S).unwrap();
    view.hold(Stream::PER_THREAD).unwrap();
    mirror.before_gather().unwrap();
    assert_eq!(view.ready.pending(), None);
    mirror.after_round(&mut client, S).unwrap();
    drop((mirror, client));
    view.hold(Stream::PER_THREAD).unwrap();
    assert_eq!(view.ready.pending(), None);
    std::thread::spawn(move || drop(view)).join().unwrap();
}

pub fn fields_are_what_the_schema_says(engine: &dyn Engine) {
    let (_server, mut client) = start(config(4), &params());
    let mut mirror = Mirror::new(engine, &client).unwrap();
    for (structure, name) in fields(&mirror) {
        let view = mirror.field(structure, &name).unwrap();
        let record = mirror.record(structure).unwrap();
        let field = record.field(&name).unwrap();
        assert_eq!((view.device, view.dtype), (engine.device(), field.dtype));
        assert_eq!((view.shape[0], &view.shape[1..]), (4, &field.shape[..]));
        assert_eq!(view.byte_strides[0], record.stride);
        let dense = view.shape.iter().zip(&view.byte_strides).skip(1).rev();
        dense.fold(field.dtype.size(), |bytes, (&n, &stride)| {
            assert_eq!(stride, bytes, "{view:?}");
            bytes * n
        });
        let back = view.element_strides().map(|n| n * field.dtype.size());
        assert!(back.eq(view.byte_strides.iter().copied()), "{view:?}");
        assert!(view.address.is_multiple_of(field.dtype.size()), "{view:?}");
    }
    let address = |mirror: &Mirror| {
        fields(mirror).iter().map(|(s, n)| mirror.field(*s, n).unwrap().address).collect::<Vec<_>>()
    };
    let before = address(&mirror);
    mirror.solve(&mut client, Rows::All, S).unwrap();
    assert_eq!(address(&mirror), before, "addresses never change");
    let prediction = mirror.field(Structure::Prediction, "root_pos").unwrap();
    assert_eq!(prediction.shape, [4, 3, 3]);
    assert_eq!(mirror.field(Structure::Refs, "phase").unwrap().dtype, Dtype::F64);
    let distance = |a, b| mirror.field(a, b).unwrap().address;
    assert_ne!(distance(Structure::Refs, "height"), distance(Structure::Followed, "height"));
}

pub fn what_is_wrong_is_said(engine: &dyn Engine) {
    let (_server, mut client) = start(config(3), &Params::default());
    let (_other_server, mut other) = start(config(3), &Params::default());
    let mut mirror = Mirror::new(engine, &client).unwrap();
    let says = |error: MirrorError, words: &[&str]| {
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    says(mirror.field(Structure::State, "joint_w").unwrap_err(), &["joint_w", "joint_q"]);
    says(mirror.field(Structure::Prediction, "time").unwrap_err(), &["prediction"]);
    says(mirror.field(Structure::Followed, "valid").unwrap_err(), &["followed"]);
    says(mirror.write(Structure::State, "joint_q", &[0; 5], S).unwrap_err(), &["state.joint_q", "36", "5"]);
    for error in [
        mirror.solve(&mut other, Rows::All, S).map(drop),
        mirror.reset(&mut other, Rows::All, S),
        mirror.after_round(&mut other, S),
        mirror.before_round(&mut other, Rows::All, S),
    ] {
        assert!(matches!(error, Err(MirrorError::OtherClient)), "{error:?}");
    }
    assert!(mirror.solve(&mut client, Rows::Ids(&[3]), S).is_err());
    assert!(mirror.reset(&mut client, Rows::Mask(&[true]), S).is_err());
    assert!(mirror.before_round(&mut client, Rows::Range(2, 4), S).is_err());
    assert!(mirror.solve(&mut client, Rows::All, S).unwrap().all_solved(), "it can be used on");
}

pub fn anything_may_be_dropped_first(engine: &dyn Engine) {
    let parts = || {
        let (server, mut client) = start(config(2), &params());
        let mut mirror = Mirror::new(engine, &client).unwrap();
        // So that a copy may still be under way.
        mirror.solve(&mut client, Rows::All, S).unwrap();
        let view = mirror.field(Structure::Cmd, "joint_q").unwrap();
        (server, client, mirror, view)
    };
    let elsewhere = |view: FieldView| std::thread::spawn(move || drop(view)).join().unwrap();

    let (server, client, mirror, view) = parts();
    drop(mirror);
    drop(client);
    elsewhere(view);
    drop(server);

    let (server, client, mirror, view) = parts();
    drop(client);
    assert!(mirror.read(Structure::Cmd, "joint_q", S).unwrap().iter().any(|&byte| byte != 0));
    // Another client of the same cluster is not the mirror's.
    let mut next = server.client().unwrap();
    let mut mirror = mirror;
    assert!(matches!(mirror.solve(&mut next, Rows::All, S), Err(MirrorError::OtherClient)));
    elsewhere(view);
    std::thread::spawn(move || drop(mirror)).join().unwrap();
    assert!(Mirror::new(engine, &next).unwrap().solve(&mut next, Rows::All, S).unwrap().all_solved());

    let (server, mut client, mut mirror, view) = parts();
    drop(server);
    let error = mirror.solve(&mut client, Rows::All, S).unwrap_err();
    assert!(matches!(error, MirrorError::Cluster(phalanx::Error::ServerGone { .. })), "{error}");
    drop(client);
    drop(mirror);
    drop(view);

    // Views outlive everything.
    let (server, client, mirror, view) = parts();
    drop((mirror, client, server));
    let kept = view.clone();
    elsewhere(view);
    elsewhere(kept);
}

pub fn two_mirrors_of_one_client(engine: &dyn Engine) {
    let (_server, mut client) = start(config(2), &params());
    let mut first = Mirror::new(engine, &client).unwrap();
    let mut second = Mirror::new(engine, &client).unwrap();
    assert_eq!((first.unlocked(), second.unlocked()), (None, None));
    let a = first.field(Structure::State, "joint_q").unwrap().address;
    assert_ne!(a, second.field(Structure::State, "joint_q").unwrap().address);
    first.write(Structure::State, "joint_q", bytemuck::cast_slice(&[1.0f32; 6]), S).unwrap();
    second.write(Structure::State, "joint_q", bytemuck::cast_slice(&[2.0f32; 6]), S).unwrap();
    first.solve(&mut client, Rows::All, S).unwrap();
    assert_eq!(as_f32(&host(&client, Structure::State, "joint_q")), [1.0; 6]);
    agree(&first, &client, |_| true);
    first.before_gather().unwrap();
    second.solve(&mut client, Rows::All, S).unwrap();
    assert_eq!(as_f32(&host(&client, Structure::State, "joint_q")), [2.0; 6]);
    agree(&second, &client, |_| true);
    // The first locked the pages. Without it the second is slower and just as right.
    drop(first);
    second.solve(&mut client, Rows::All, S).unwrap();
    agree(&second, &client, |_| true);
    drop(second);
    let mut third = Mirror::new(engine, &client).unwrap();
    third.solve(&mut client, Rows::All, S).unwrap();
    agree(&third, &client, |_| true);
}

pub fn steady_rounds_allocate_nothing(engine: &dyn Engine) {
    let (_server, mut client) = start(config(8), &params());
    let mut mirror = Mirror::new(engine, &client).unwrap();
    let mut rounds = || {
        for _ in 0..20 {
            mirror.solve(&mut client, Rows::All, S).unwrap();
            let left = mirror.trigger(&mut client, Rows::Ids(&[0, 2, 3]), S).unwrap();
            let right = mirror.trigger(&mut client, Rows::Ids(&[7, 5, 1]), S).unwrap();
            mirror.wait(&mut client, right, Wait::default(), S).unwrap();
            mirror.wait(&mut client, left, Wait::default(), S).unwrap();
            mirror.reset(&mut client, Rows::Ids(&[1, 6]), S).unwrap();
        }
    };
    rounds();
    let mut fewest = usize::MAX;
    // Other tests of this program, and threads of libtorch, allocate too: one quiet stretch is proof enough.
    for _ in 0..20 {
        let before = INSTRUMENTED_SYSTEM.stats().allocations;
        rounds();
        fewest = fewest.min(INSTRUMENTED_SYSTEM.stats().allocations - before);
    }
    assert_eq!(fewest, 0);
}
