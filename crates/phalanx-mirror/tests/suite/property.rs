//! Whatever the fields are: each goes its way, and no other.

use super::{
    cluster::{Params, as_bytes, config_of, host, noise, scribble, start, word},
    conformance::{agree, all, fields},
};
use phalanx::{Dtype, Field, Real, Rows, robot::RobotSpec};
use phalanx_mirror::{Direction, Engine, Mirror, Stream, Structure};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

const S: Stream = Stream::DEFAULT;

/// A cluster of any fields.
#[derive(Clone, Debug)]
struct Any {
    rows: usize,
    joints: usize,
    contacts: usize,
    real: Real,
    extras: Vec<Field>,
    params: Params,
    chosen: Vec<bool>,
    seed: u64,
}

fn any_fields() -> impl Strategy<Value = Vec<Field>> {
    let shape = prop::collection::vec(0usize..4, 0..3);
    let field = (prop::sample::select(Dtype::ALL), shape, 0..3i32);
    prop::collection::vec(field, 0..5).prop_map(|fields| {
        let named = |(i, (dtype, shape, default)): (usize, (Dtype, Vec<usize>, i32))| {
            Field::new(&format!("f{i}"), "", "x")
                .dtype(dtype)
                .shape(&shape)
                .default_values(&[f64::from(default)])
        };
        fields.into_iter().enumerate().map(named).collect()
    })
}

fn any() -> impl Strategy<Value = Any> {
    let robot = (0usize..5, 0usize..3, prop::sample::select(&[Real::F32, Real::F64][..]));
    let controller = (any_fields(), 0usize..4, proptest::bool::ANY);
    (prop::collection::vec(proptest::bool::ANY, 1..7), robot, any_fields(), controller, 1u64..1 << 40)
        .prop_map(|(chosen, (joints, contacts, real), extras, (refs, nodes, follows), seed)| Any {
            rows: chosen.len(),
            joints,
            contacts,
            real,
            extras: extras.into_iter().map(|f| Field { name: format!("x_{}", f.name), ..f }).collect(),
            params: Params { refs, nodes, follows, slow: None },
            chosen,
            seed,
        })
}

pub fn every_field_goes_its_way_and_no_other(engine: &dyn Engine) {
    // Each case starts a cluster, so there are not many; a failure prints all that is needed to see it again.
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    runner.run(&any(), |case| check(engine, &case)).unwrap_or_else(|e| panic!("{e}"));
}

fn check(engine: &dyn Engine, case: &Any) -> Result<(), TestCaseError> {
    let names = |prefix: &str, n: usize| (0..n).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let robot = RobotSpec::new("any", names("j", case.joints)).unwrap();
    let robot = robot.with_contacts(names("c", case.contacts)).unwrap();
    let mut config = config_of(case.rows, robot);
    (config.real, config.state_extras) = (case.real, case.extras.clone());
    let (_server, mut client) = start(config, &case.params);
    let mut next = noise(case.seed);
    let there: Vec<_> = Structure::ALL.into_iter().filter(|s| s.table(&client).is_some()).collect();
    for &structure in &there {
        scribble(&mut client, structure, &mut next);
    }
    let mut mirror = Mirror::new(engine, &client).unwrap();
    let fields = fields(&mirror);
    agree(&mirror, &client, |_| true);

    // What the device's side writes is not seen on the host.
    let hosted = |client: &phalanx::ClusterClient| -> Vec<Vec<u8>> {
        fields.iter().map(|(structure, name)| host(client, *structure, name)).collect()
    };
    let before = hosted(&client);
    for (structure, name) in &fields {
        let bytes = mirror.record(*structure).unwrap().field(name).unwrap().bytes().len() * case.rows;
        let words: Vec<u64> = (0..bytes.div_ceil(8)).map(|_| next()).collect();
        mirror.write(*structure, name, &as_bytes(&words)[..bytes], S).unwrap();
        prop_assert_eq!(&mirror.read(*structure, name, S).unwrap()[..], &as_bytes(&words)[..bytes]);
    }
    let written = all(&mirror);
    prop_assert_eq!(&hosted(&client), &before);

    // Before a round of some rows, then of all: the inputs come to the host, the device stays as it is.
    let mut expected = before;
    for rows in [Rows::Mask(&case.chosen), Rows::All] {
        mirror.before_round(&mut client, rows, S).unwrap();
        for (i, (structure, _)) in fields.iter().enumerate() {
            let row_bytes = written[i].len() / case.rows;
            for row in 0..case.rows {
                if structure.direction() == Direction::ToHost && (rows == Rows::All || case.chosen[row]) {
                    let bytes = row * row_bytes..(row + 1) * row_bytes;
                    expected[i][bytes.clone()].copy_from_slice(&written[i][bytes]);
                }
            }
        }
        prop_assert_eq!(&hosted(&client), &expected);
        prop_assert_eq!(&all(&mirror), &written);
    }

    // After a round: the outputs come to the device, and nothing else does, whatever the host holds of the
    // inputs.
    for &structure in &there {
        scribble(&mut client, structure, &mut next);
    }
    let hosts = hosted(&client);
    mirror.after_round(&mut client, S).unwrap();
    let pick = |way: Direction| fields.iter().enumerate().filter(move |(_, (s, _))| s.direction() == way);
    let device = all(&mirror);
    for (i, field) in pick(Direction::ToDevice) {
        prop_assert_eq!(&device[i], &hosts[i], "{:?}", field);
    }
    for (i, field) in pick(Direction::ToHost) {
        prop_assert_eq!(&device[i], &written[i], "{:?}", field);
    }
    prop_assert_eq!(&hosted(&client), &hosts);

    // A reset brings these rows' refs to the device, and nothing else.
    mirror.reset(&mut client, Rows::Mask(&case.chosen), S).unwrap();
    let defaults = mirror.record(Structure::Refs).unwrap().default_row();
    for (i, (structure, name)) in fields.iter().enumerate() {
        let now = mirror.read(*structure, name, S).unwrap();
        let row_bytes = now.len() / case.rows;
        let field = mirror.record(*structure).unwrap().field(name).unwrap().bytes();
        for row in 0..case.rows {
            let bytes = row * row_bytes..(row + 1) * row_bytes;
            let want = match structure {
                Structure::Refs if case.chosen[row] => &as_bytes(&defaults)[field.clone()],
                _ => &device[i][bytes.clone()],
            };
            prop_assert_eq!(&now[bytes], want, "{}.{} row {}", structure, name, row);
        }
    }

    // A real round: what the controllers wrote is what the device has.
    prop_assert!(mirror.solve(&mut client, Rows::All, S).unwrap().all_solved());
    agree(&mirror, &client, |_| true);
    for (structure, name) in pick(Direction::ToDevice).map(|(_, field)| field) {
        if *structure == Structure::Status {
            continue;
        }
        let now = mirror.read(*structure, name, S).unwrap();
        let field = mirror.record(*structure).unwrap().field(name).unwrap();
        for (row, bytes) in now.chunks_exact((now.len() / case.rows).max(1)).enumerate() {
            let words = [word(*structure, row, client.round())];
            let want = field.bytes().map(|at| as_bytes(&words)[at % 8]);
            prop_assert!(want.eq(bytes.iter().copied()), "{}.{} row {}", structure, name, row);
        }
    }
    Ok(())
}
