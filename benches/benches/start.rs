//! What is done once per start or attach: reading robots, placing fields, writing and reading the manifest.

use criterion::{Criterion, criterion_group, criterion_main};
use phalanx::{
    ClusterConfig, Description, Field, Real, fields,
    layout::{Layout, Manifest},
    plan::{CpuPlan, Topology},
    robot::RobotSpec,
    schema::Schema,
};
use std::{fmt::Write, hint::black_box};

/// A quadruped with 12 joints, written as an exporter would.
fn urdf() -> String {
    let mut text = String::from("<robot name='quadruped'>\n<link name='trunk'/>\n");
    for leg in ["FL", "FR", "RL", "RR"] {
        let mut parent = "trunk".to_owned();
        for part in ["hip", "thigh", "calf"] {
            let child = format!("{leg}_{part}");
            let _ = write!(
                text,
                "<link name='{child}'>
                   <inertial><origin xyz='0 0 0'/><mass value='0.7'/>
                     <inertia ixx='1e-3' ixy='0' ixz='0' iyy='1e-3' iyz='0' izz='1e-3'/></inertial>
                   <visual><geometry><mesh filename='package://robot/{child}.dae'/></geometry></visual>
                 </link>
                 <joint name='{child}_joint' type='revolute'>
                   <origin xyz='0 0.1 0' rpy='0 0 0'/><parent link='{parent}'/><child link='{child}'/>
                   <axis xyz='0 1 0'/><limit lower='-2.7' upper='2.7' effort='24' velocity='30'/>
                 </joint>\n"
            );
            parent = child;
        }
    }
    text + "</robot>"
}

fn robot() -> RobotSpec {
    RobotSpec::from_urdf_str(&urdf()).and_then(|r| r.with_contacts(["FL", "FR", "RL", "RR"])).expect("valid")
}

fn schema(robot: &RobotSpec) -> Schema {
    let refs = [Field::new("base_height", "m", "height of the trunk")];
    let prediction = fields::PredictionSpec { nodes: 30, ..Default::default() };
    let records = [
        fields::state(robot, Real::F32, &[]),
        fields::refs(&refs),
        fields::cmd(robot, Real::F32),
        fields::status(),
        fields::prediction(robot, Real::F32, &prediction),
    ];
    Schema { records: records.into_iter().collect::<Result<_, _>>().expect("valid") }
}

fn manifest() -> Manifest {
    let config = ClusterConfig::new("bench", 256, robot());
    let topology = Topology::read().expect("Linux tells");
    Manifest {
        spin_us: 0,
        slots: 2,
        history: false,
        controller: "echo".into(),
        server: "bench".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        plan: CpuPlan::new(&config.cpu, &topology, config.rows).expect("valid"),
        description: Description::default(),
        schema: schema(&config.robot),
        config,
    }
}

fn robots(c: &mut Criterion) {
    let text = urdf();
    c.bench_function("read a URDF of 12 joints", |b| b.iter(|| RobotSpec::from_urdf_str(black_box(&text))));
}

fn schemas(c: &mut Criterion) {
    let robot = robot();
    c.bench_function("place all fields", |b| b.iter(|| schema(black_box(&robot))));
    let schema = schema(&robot);
    c.bench_function("look a field up", |b| {
        b.iter(|| black_box(&schema.records[0]).handle::<f32>("contact_vel").expect("it has one"));
    });
    c.bench_function("hash a schema", |b| b.iter(|| black_box(&schema).hash()));
}

fn manifests(c: &mut Criterion) {
    let manifest = manifest();
    let text = manifest.to_json().expect("plain data");
    c.bench_function("write a manifest", |b| b.iter(|| black_box(&manifest).to_json()));
    c.bench_function("read a manifest", |b| {
        b.iter(|| serde_json::from_slice::<Manifest>(black_box(&text)).expect("just written"));
    });
    c.bench_function("lay out 256 rows", |b| b.iter(|| Layout::new(black_box(&manifest))));
}

criterion_group!(benches, robots, schemas, manifests);
criterion_main!(benches);
