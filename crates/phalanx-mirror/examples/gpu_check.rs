//! Does the engine `cuda` keep its promises on this machine, and what do its copies cost? Prints one JSON
//! object.
//!
//! The conformance suite runs on the real driver; then copies of the arena's page-locked tables are compared
//! with plain blocking copies of as many bytes between memory that the driver allocated itself and the
//! device. Without a driver or a device it says why, and that is no failure.
//!
//! ```text
//! cargo run --release -p phalanx-mirror --example gpu_check -- [--device I] [--quick]
//! ```

#[path = "../tests/suite/mod.rs"]
mod suite;

use phalanx::Rows;
use phalanx_mirror::{Cuda, Engine, Mirror, Result, Stream};
use serde_json::{Value, json};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};
use suite::cluster::{config, params, start};

fn main() -> ExitCode {
    // The clusters' workers are this program.
    suite::cluster::become_worker();
    let args: Vec<_> = std::env::args().skip(1).collect();
    let quick = args.iter().any(|arg| arg == "--quick");
    let ordinal = args.iter().position(|arg| arg == "--device").and_then(|i| args.get(i + 1)?.parse().ok());
    let cuda = match Cuda::new(ordinal.unwrap_or(0)) {
        Ok(cuda) => cuda,
        Err(why) => {
            println!("{}", json!({ "skipped": why.to_string() }));
            return ExitCode::SUCCESS;
        }
    };
    let (conformance, passed) = conformance(&cuda);
    let rows: &[usize] = if quick { &[64] } else { &[1, 64, 512, 4096] };
    let copies: Result<Vec<_>> =
        rows.iter().map(|&rows| compare(&cuda, rows, if quick { 10 } else { 300 })).collect();
    let measured = copies.is_ok();
    let version = cuda.driver_version().map(|(major, minor)| format!("CUDA {major}.{minor}"));
    let told = json!({
        "device": cuda.name().unwrap_or_default(),
        "driver": version.unwrap_or_default(),
        "conformance": conformance,
        "copies": copies.unwrap_or_else(|error| vec![json!({ "error": error.to_string() })]),
    });
    println!("{told:#}");
    ExitCode::from(u8::from(!(passed && measured)))
}

/// Runs the suite; what failed and how, and whether nothing did.
fn conformance(engine: &dyn Engine) -> (Value, bool) {
    let tests = with_all!(suite_list);
    let mut failed = serde_json::Map::new();
    for (name, test) in tests {
        if let Err(why) = catch_unwind(AssertUnwindSafe(|| test(engine))) {
            let text = why.downcast_ref::<String>().cloned();
            let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).into()));
            failed.insert(name.into(), text.unwrap_or_default().into());
        }
    }
    let passed = failed.is_empty();
    (json!({ "passed": tests.len() - failed.len(), "failed": failed }), passed)
}

/// Medians of the copies of a cluster's tables, beside plain ones of as many bytes.
fn compare(cuda: &Cuda, rows: usize, times: usize) -> Result<Value> {
    let (_server, mut client) = start(config(rows), &params());
    let mut mirror = Mirror::new(cuda, &client)?;
    let stream = Stream::DEFAULT;
    let (mut down, mut up) = (Vec::new(), Vec::new());
    for _ in 0..times {
        mirror.before_round(&mut client, Rows::All, stream)?;
        down.push(mirror.times().inputs_us);
        let began = Instant::now();
        mirror.after_round(&mut client, stream)?;
        mirror.before_gather()?;
        up.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let busy = mirror.times();
    let began = Instant::now();
    for _ in 0..times {
        mirror.solve(&mut client, Rows::All, stream)?;
    }
    let round_us = began.elapsed().as_secs_f64() * 1e6 / times as f64;
    let [in_bytes, out_bytes] = mirror.copied_bytes();
    let ([plain_down, _], [_, plain_up]) =
        (cuda.plain_copy_us(in_bytes, times)?, cuda.plain_copy_us(out_bytes, times)?);
    let copy = |bytes: usize, us: f64, plain: f64, busy: Option<f64>| {
        let ratio = us / plain;
        json!({ "bytes": bytes, "us": us, "plain_us": plain, "ratio": ratio, "busy_us": busy })
    };
    Ok(json!({
        "rows": rows,
        "page_locked": mirror.unlocked().is_none(),
        "to_host": copy(in_bytes, median(down), plain_down, busy.inputs_busy_us),
        "to_device": copy(out_bytes, median(up), plain_up, busy.outputs_busy_us),
        "round_us": round_us,
    }))
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
