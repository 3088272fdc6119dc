//! Engine `tch` on libtorch's CPU: the suite, and what its tensors are.

mod suite;

use phalanx::{Dtype, Rows};
use phalanx_mirror::{Device, Mirror, Stream, Structure, Tch, tensor};
use suite::cluster::{config, host, params, start, values};
use tch::Kind;

fn here(_: &str, body: impl FnOnce()) {
    body();
}

with_all!(suite here, Tch::new(tch::Device::Cpu).unwrap());

#[test]
fn tensors_share_the_mirrors_memory() {
    let (_server, mut client) = start(config(4), &params());
    let mut mirror = Mirror::new(&Tch::new(tch::Device::Cpu).unwrap(), &client).unwrap();
    assert_eq!(mirror.device(), Device::Cpu);
    let of =
        |mirror: &Mirror, structure, name: &str| tensor(&mirror.field(structure, name).unwrap()).unwrap();
    let mut q = of(&mirror, Structure::State, "joint_q");
    assert_eq!((q.size(), q.kind()), (vec![4, 3], Kind::Float));
    q.copy_(&tch::Tensor::arange(12, (Kind::Float, tch::Device::Cpu)).view([4, 3]));
    let _ = of(&mirror, Structure::State, "root_pos").fill_(2.5);
    assert!(mirror.solve(&mut client, Rows::All, Stream::DEFAULT).unwrap().all_solved());
    let seen: Vec<f32> = values(&host(&client, Structure::State, "joint_q"));
    assert_eq!(seen, (0..12).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!(client.state.read("root_pos", 3).unwrap(), [2.5; 3]);

    let effort = of(&mirror, Structure::Cmd, "joint_effort");
    let want = client.cmd.read("joint_effort", 2).unwrap();
    assert_eq!(Vec::<f64>::try_from(effort.get(2).to_kind(Kind::Double)).unwrap(), want);
    assert_eq!(effort.data_ptr(), of(&mirror, Structure::Cmd, "joint_effort").data_ptr(), "always the same");
    let round = of(&mirror, Structure::Status, "round");
    assert_eq!((round.kind(), i64::try_from(round.get(1)).unwrap()), (Kind::Int64, 1));

    // The tensor keeps the memory.
    drop((mirror, client));
    assert_eq!(i64::try_from(round.get(1)).unwrap(), 1);
}

#[test]
fn every_element_type_is_a_tensor() {
    let mut config = config(3);
    config.state_extras = Dtype::ALL
        .iter()
        .map(|&dtype| phalanx::Field::new(&format!("x_{dtype}"), "", "x").dtype(dtype).shape(&[2, 3]))
        .collect();
    config.state_extras.push(phalanx::Field::new("nothing", "", "x").shape(&[0]));
    let (_server, mut client) = start(config, &params());
    for (i, &dtype) in Dtype::ALL.iter().enumerate() {
        let element = (i + 1) as f64;
        for row in 0..3 {
            let field = client.state.record().field(&format!("x_{dtype}")).unwrap().clone();
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(client.state.row_mut(row));
            bytes[field.bytes()].chunks_exact_mut(dtype.size()).for_each(|e| dtype.write_f64(element, e));
        }
    }
    let mirror = Mirror::new(&Tch::new(tch::Device::Cpu).unwrap(), &client).unwrap();
    for (i, &dtype) in Dtype::ALL.iter().enumerate() {
        let tensor = tensor(&mirror.field(Structure::State, &format!("x_{dtype}")).unwrap()).unwrap();
        assert_eq!((tensor.size(), tensor.is_contiguous()), (vec![3, 2, 3], false), "{dtype}");
        assert_eq!(tensor.kind().elt_size_in_bytes(), dtype.size(), "{dtype}");
        let want = if dtype == Dtype::Bool { 1.0 } else { (i + 1) as f64 };
        let sum = f64::try_from(tensor.to_kind(Kind::Double).sum(Kind::Double)).unwrap();
        assert_eq!(sum, 18.0 * want, "{dtype}");
    }
    assert_eq!(tensor(&mirror.field(Structure::State, "nothing").unwrap()).unwrap().size(), [3, 0]);
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let error = Tch::new(tch::Device::Vulkan).unwrap_err().to_string();
    assert!(error.contains("Vulkan") && error.contains("Cuda"), "{error}");
    if !tch::Cuda::is_available() {
        let error = Tch::new(tch::Device::Cuda(0)).unwrap_err().to_string();
        assert!(error.contains("driver") || error.contains("CUDA"), "{error}");
    }
}

#[test]
fn the_simulator_of_tensors_converges() {
    let me = std::env::current_exe().unwrap();
    let program = me.ancestors().nth(2).unwrap().join("examples/tch_simulator");
    assert!(program.is_file(), "build it first: cargo build -p phalanx-mirror --features tch --examples");
    let ran = std::process::Command::new(program).output().unwrap();
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ran.status.success(), "{}{}", words(&ran.stdout), words(&ran.stderr));
    assert!(words(&ran.stdout).contains("256 cart-poles on cpu"));
}
