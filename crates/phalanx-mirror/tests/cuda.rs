//! Engine `cuda` against a fake driver: the suite, what the driver is asked, and everything it can refuse.
//!
//! On a machine with a GPU, `examples/gpu_check.rs` runs the same rounds on the real one.

#![allow(unsafe_code, reason = "calls of the fake driver; each block says why it is sound")]

mod driver;
mod suite;

use cudarc::driver::sys;
use driver::{inside, run, with_fake};
use phalanx::{Rows, Wait};
use phalanx_mirror::{Cuda, Device, Engine, Mirror, MirrorError, Stream, Structure};
use suite::{
    cluster::{config, host, params, scribble, start},
    conformance::agree,
};

const S: Stream = Stream::DEFAULT;

with_all!(suite with_fake, Cuda::new(0).unwrap());

#[test]
fn without_a_driver_it_says_so() {
    // On a machine that has one there is nothing to see.
    if let Err(error) = Cuda::count() {
        let text = error.to_string();
        assert!(matches!(error, MirrorError::NoDriver(_) | MirrorError::NoDevice(_)), "{text}");
        assert!(text.contains("driver"), "{text}");
        assert!(Cuda::new(0).is_err());
    }
}

#[test]
fn a_driver_without_a_device_says_so() {
    if !inside() {
        return drop(run("a_driver_without_a_device_says_so", &[("FAKE_CUDA_DEVICES", "0")]).passed());
    }
    let error = Cuda::new(0).unwrap_err();
    assert!(matches!(error, MirrorError::NoDevice(_)), "{error}");
    assert!(error.to_string().contains("no CUDA-capable device"), "{error}");
}

#[test]
fn a_driver_that_cannot_start_says_so() {
    if !inside() {
        return drop(run("a_driver_that_cannot_start_says_so", &[("FAKE_CUDA_FAIL", "cuInit=999")]).passed());
    }
    let error = Cuda::new(0).unwrap_err().to_string();
    assert!(error.contains("cuInit") && error.contains("CUDA_ERROR_UNKNOWN"), "{error}");
}

#[test]
fn devices_are_counted() {
    if !inside() {
        return drop(run("devices_are_counted", &[("FAKE_CUDA_DEVICES", "2")]).passed());
    }
    assert_eq!(Cuda::count().unwrap(), 2);
    let error = Cuda::new(2).unwrap_err();
    assert!(matches!(error, MirrorError::NoSuchDevice { asked: 2, count: 2 }), "{error}");
    let second = Cuda::new(1).unwrap();
    assert_eq!((second.device(), second.name().unwrap()), (Device::Cuda(1), "Fake 1".into()));
    assert_eq!(second.driver_version().unwrap(), (13, 0));
    assert!(second.plain_copy_us(10_000, 3).unwrap().iter().all(|&us| us > 0.0));

    // Two devices mirror one client.
    let (_server, mut client) = start(config(2), &params());
    let mut mirrors = [0, 1].map(|i| Mirror::new(&Cuda::new(i).unwrap(), &client).unwrap());
    for mirror in &mut mirrors {
        assert!(mirror.solve(&mut client, Rows::All, S).unwrap().all_solved());
        agree(mirror, &client, |_| true);
        mirror.before_gather().unwrap();
    }
    assert_eq!(mirrors[1].field(Structure::Cmd, "joint_q").unwrap().device, Device::Cuda(1));
}

#[test]
fn pages_that_cannot_be_locked_are_slower_and_right() {
    let refuse = &[("FAKE_CUDA_FAIL", "cuMemHostRegister=800")];
    if !inside() {
        let ran = run("pages_that_cannot_be_locked_are_slower_and_right", refuse).passed();
        assert_eq!((ran.calls("cuMemHostRegister"), ran.calls("cuMemHostUnregister")), (2, 0));
        return;
    }
    let (_server, mut client) = start(config(3), &params());
    let mut mirror = Mirror::new(&Cuda::new(0).unwrap(), &client).unwrap();
    let why = mirror.unlocked().expect("it says so");
    assert!(why.contains("cuMemHostRegister") && why.contains("not permitted"), "{why}");
    for _ in 0..3 {
        assert!(mirror.solve(&mut client, Rows::All, S).unwrap().all_solved());
        agree(&mirror, &client, |_| true);
        mirror.reset(&mut client, Rows::Ids(&[1]), S).unwrap();
    }
}

#[test]
fn a_round_is_one_copy_each_way() {
    const ROUNDS: usize = 10;
    if !inside() {
        let ran = run("a_round_is_one_copy_each_way", &[]).passed();
        let bytes = |name: &str| -> Vec<_> {
            let copies = ran.log.iter().filter(|line| line.starts_with(name));
            copies.map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
        };
        let (down, up) = (bytes("cuMemcpyDtoHAsync"), bytes("cuMemcpyHtoDAsync"));
        // Two more to begin with.
        assert_eq!((down.len(), up.len()), (ROUNDS, ROUNDS + 2));
        assert!(down.windows(2).all(|w| w[0] == w[1]) && up[1..].windows(2).all(|w| w[0] == w[1]));
        // One wait for the inputs; the outputs' copy needs none.
        assert_eq!(ran.calls("cuStreamSynchronize"), ROUNDS);
        // What was taken is given back, and the caller's context is the caller's again.
        for (take, give) in [
            ("cuMemAlloc", "cuMemFree"),
            ("cuMemHostRegister", "cuMemHostUnregister"),
            ("cuEventCreate", "cuEventDestroy"),
            ("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease"),
            ("cuCtxPushCurrent", "cuCtxPopCurrent"),
        ] {
            assert!(ran.calls(take) > 0, "{take}");
            assert_eq!(ran.calls(take), ran.calls(give), "{take}");
        }
        assert_eq!(ran.calls("cuCtxSetCurrent") + ran.calls("VIOLATION"), 0);
        return;
    }
    let (_server, mut client) = start(config(5), &params());
    let mut mirror = Mirror::new(&Cuda::new(0).unwrap(), &client).unwrap();
    for _ in 0..ROUNDS {
        assert!(mirror.solve(&mut client, Rows::All, S).unwrap().all_solved());
    }
    mirror.before_gather().unwrap();
    let times = mirror.times();
    assert!(times.inputs_busy_us.is_some() && times.outputs_busy_us.is_some(), "{times:?}");
}

/// While one round waits, the copy of another's outputs may not have been done. It is, before the client's
/// rows change: between two uploads handed over, the first one is copied.
#[test]
fn outputs_are_on_their_way_before_others_come() {
    if !inside() {
        let ran = run("outputs_are_on_their_way_before_others_come", &[]).passed();
        let mut waiting = false;
        for line in &ran.log {
            match line.split(' ').next().unwrap() {
                "cuMemcpyHtoDAsync" => assert!(!std::mem::replace(&mut waiting, true), "{:#?}", ran.log),
                "copied" if line.contains("HtoD") => waiting = false,
                _ => {}
            }
        }
        return;
    }
    let (_server, mut client) = start(config(4), &params());
    let mut mirror = Mirror::new(&Cuda::new(0).unwrap(), &client).unwrap();
    for _ in 0..3 {
        let left = mirror.trigger(&mut client, Rows::Range(0, 2), S).unwrap();
        let right = mirror.trigger(&mut client, Rows::Range(2, 4), S).unwrap();
        mirror.wait(&mut client, left, Wait::default(), S).unwrap();
        mirror.wait(&mut client, right, Wait::default(), S).unwrap();
    }
}

/// Setting up a field costs one copy there and one back, whatever the number of rows.
#[test]
fn a_write_is_one_copy_each_way() {
    if !inside() {
        let ran = run("a_write_is_one_copy_each_way", &[]).passed();
        // Two more to begin with.
        return assert_eq!((ran.calls("cuMemcpyDtoHAsync"), ran.calls("cuMemcpyHtoDAsync")), (1, 3));
    }
    let (_server, client) = start(config(50), &params());
    let mut mirror = Mirror::new(&Cuda::new(0).unwrap(), &client).unwrap();
    mirror.write(Structure::State, "joint_q", &[1; 600], S).unwrap();
}

/// Work on another stream waits on the device for what was brought, once it was told to. The fake's memory is
/// ours to look at.
#[test]
fn a_stream_that_is_held_comes_after_uploads() {
    if !inside() {
        return drop(run("a_stream_that_is_held_comes_after_uploads", &[]).passed());
    }
    let (_server, mut client) = start(config(1), &params());
    let mut mirror = Mirror::new(&Cuda::new(0).unwrap(), &client).unwrap();
    let field = mirror.field(Structure::Cmd, "joint_effort").unwrap();
    // SAFETY: the fake's device memory is this process's; the field keeps its 12 bytes.
    let seen = || unsafe { std::slice::from_raw_parts(field.address as *const u8, 12) }.to_vec();
    assert_eq!(field.ready.pending(), None);
    let before = seen();
    scribble(&mut client, Structure::Cmd, || 7);
    mirror.after_round(&mut client, S).unwrap();
    assert_eq!(field.ready.pending(), Some(S));
    run_per_thread();
    assert_eq!(seen(), before, "the upload is put off: nobody waits for it");
    field.hold(Stream::PER_THREAD).unwrap();
    run_per_thread();
    assert_eq!(seen(), host(&client, Structure::Cmd, "joint_effort"));
}

/// What a kernel on the thread's default stream would see has happened after this.
fn run_per_thread() {
    let mut context = std::ptr::null_mut();
    // SAFETY: the driver is there; the pointers are to locals, and what is retained and pushed is given back.
    unsafe {
        assert_eq!(sys::cuDevicePrimaryCtxRetain(&mut context, 0) as u32, 0);
        assert_eq!(sys::cuCtxPushCurrent_v2(context) as u32, 0);
        assert_eq!(sys::cuStreamSynchronize(2 as sys::CUstream) as u32, 0);
        assert_eq!(sys::cuCtxPopCurrent_v2(&mut context) as u32, 0);
        assert_eq!(sys::cuDevicePrimaryCtxRelease_v2(0) as u32, 0);
    }
}

/// A round that is refused half way leaves nothing behind that writes later.
#[test]
fn a_refused_copy_is_over() {
    if !inside() {
        return drop(run("a_refused_copy_is_over", &[("FAKE_CUDA_FAIL", "cuMemcpyDtoHAsync:2")]).passed());
    }
    let (_server, mut client) = start(config(4), &params());
    let mut mirror = Mirror::new(&Cuda::new(0).unwrap(), &client).unwrap();
    let error = mirror.before_round(&mut client, Rows::Ids(&[0, 2]), S).unwrap_err();
    assert!(matches!(error, MirrorError::Driver { call: "cuMemcpyDtoHAsync", .. }), "{error}");
    scribble(&mut client, Structure::State, || 7);
    let before = host(&client, Structure::State, "root_pos");
    mirror.read(Structure::State, "root_pos", S).unwrap();
    assert_eq!(host(&client, Structure::State, "root_pos"), before);
}

/// A device that refuses while a round is in flight does not keep its rows from the next one.
#[test]
fn a_refusal_leaves_no_round_in_flight() {
    if !inside() {
        let third = [("FAKE_CUDA_FAIL", "cuEventSynchronize:3")];
        return drop(run("a_refusal_leaves_no_round_in_flight", &third).passed());
    }
    let (_server, mut client) = start(config(4), &params());
    let mut mirror = Mirror::new(&Cuda::new(0).unwrap(), &client).unwrap();
    let left = mirror.trigger(&mut client, Rows::Range(0, 2), S).unwrap();
    let right = mirror.trigger(&mut client, Rows::Range(2, 4), S).unwrap();
    mirror.wait(&mut client, left, Wait::default(), S).unwrap();
    let error = mirror.wait(&mut client, right, Wait::default(), S).unwrap_err();
    assert!(matches!(error, MirrorError::Driver { call: "cuEventSynchronize", .. }), "{error}");
    agree(&mirror, &client, |_| true);
    assert!(mirror.solve(&mut client, Rows::All, S).unwrap().all_solved());
    agree(&mirror, &client, |_| true);
}

/// When even waiting is refused, the pages are not given back before the device is done with them.
#[test]
fn a_refused_wait_is_made_up_for() {
    if !inside() {
        let ran =
            run("a_refused_wait_is_made_up_for", &[("FAKE_CUDA_FAIL", "cuStreamSynchronize:1")]).passed();
        return assert_eq!((ran.calls("cuCtxSynchronize"), ran.calls("cuMemHostUnregister")), (1, 2));
    }
    let (_server, mut client) = start(config(4), &params());
    let mut mirror = Mirror::new(&Cuda::new(0).unwrap(), &client).unwrap();
    let error = mirror.before_round(&mut client, Rows::All, S).unwrap_err();
    assert!(matches!(error, MirrorError::Driver { call: "cuStreamSynchronize", .. }), "{error}");
}

/// Any call may fail, at any time: an error that names it, no panic, nothing written where it must not be
/// (the fake would abort), and the mirror can be used on.
#[test]
#[cfg_attr(feature = "tch", ignore = "every process would load libtorch: run it without the feature")]
fn any_call_may_fail() {
    const CALLS: [&str; 11] = [
        "cuDevicePrimaryCtxRetain",
        "cuCtxPushCurrent",
        "cuCtxPopCurrent",
        "cuMemAlloc",
        "cuMemHostRegister",
        "cuMemcpyDtoHAsync",
        "cuMemcpyHtoDAsync",
        "cuStreamSynchronize",
        "cuStreamWaitEvent",
        "cuEventRecord",
        "cuEventSynchronize",
    ];
    if !inside() {
        let mut seen = 0;
        for call in CALLS {
            for nth in [1, 2, 3, 5, 8] {
                let spec = format!("{call}:{nth}");
                let ran = run("any_call_may_fail", &[("FAKE_CUDA_FAIL", &spec)]).passed();
                assert_eq!(ran.calls("VIOLATION"), 0, "{spec}");
                let text = String::from_utf8_lossy(&ran.output.stdout).into_owned();
                let errors = text.lines().filter(|line| line.contains("refused: ")).collect::<Vec<_>>();
                assert!(errors.len() <= 1, "{spec}: one call, one error: {errors:?}");
                assert!(errors.iter().all(|line| line.contains(call)), "{spec}: {errors:?}");
                seen += errors.len();
            }
        }
        assert!(seen > 15, "only {seen} failures were felt");
        return;
    }
    /// Once more if it fails; what fails twice is not over.
    fn again<T>(mut f: impl FnMut() -> phalanx_mirror::Result<T>) -> T {
        f().unwrap_or_else(|error| {
            assert!(matches!(error, MirrorError::Driver { code: 999, .. }), "{error}");
            println!("refused: {error}");
            f().expect("the failure is over")
        })
    }
    let (_server, mut client) = start(config(4), &params());
    let cuda = again(|| Cuda::new(0));
    let mut mirror = again(|| Mirror::new(&cuda, &client));
    for round in 0..4 {
        let q = [round as f32; 12];
        again(|| mirror.write(Structure::State, "joint_q", bytemuck::cast_slice(&q), S));
        again(|| mirror.reset(&mut client, Rows::Ids(&[0, 2]), Stream::PER_THREAD));
        again(|| mirror.solve(&mut client, Rows::All, S).map(drop));
        again(|| mirror.before_gather());
        assert_eq!(client.state.read("joint_q", 3).unwrap(), [f64::from(round as f32); 3]);
        again(|| mirror.after_round(&mut client, S));
        for name in ["joint_q", "joint_effort"] {
            let device = again(|| mirror.read(Structure::Cmd, name, S));
            assert_eq!(device, host(&client, Structure::Cmd, name));
        }
    }
}

/// The program for machines with a GPU goes through on a fake one, and says so where there is none.
#[test]
#[cfg_attr(feature = "tch", ignore = "every process would load libtorch: run it without the feature")]
fn the_check_for_real_devices_runs() {
    let me = std::env::current_exe().unwrap();
    let program = me.ancestors().nth(2).unwrap().join("examples/gpu_check");
    assert!(program.is_file(), "build it first: cargo build -p phalanx-mirror --example gpu_check");
    let ran = driver::run_program(&program, &["--quick"], &[]);
    let told: serde_json::Value = serde_json::from_slice(&ran.output.stdout).unwrap();
    assert!(ran.output.status.success(), "{told:#}");
    assert_eq!(told["device"], "Fake 0");
    assert_eq!(told["conformance"]["failed"], serde_json::json!({}), "{told:#}");
    assert!(told["copies"][0]["to_host"]["ratio"].as_f64().unwrap() > 0.0, "{told:#}");

    let ran = driver::run_program(&program, &["--quick"], &[("FAKE_CUDA_DEVICES", "0")]);
    let told: serde_json::Value = serde_json::from_slice(&ran.output.stdout).unwrap();
    assert!(ran.output.status.success() && told["skipped"].as_str().unwrap().contains("no device"), "{told}");
}
