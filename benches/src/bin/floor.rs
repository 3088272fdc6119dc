//! Print the machine's floor: what no design can beat here.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use phalanx_benches::{
    floor::{self, Floor},
    machine,
};
use serde_json::json;

#[derive(Parser)]
#[command(about = "The machine's floor: cache line, futex, memcpy")]
struct Cli {
    /// Rows whose state and command are copied
    #[arg(long, default_value_t = 256)]
    n: usize,
    /// Bytes of one state row
    #[arg(long, default_value_t = 480)]
    state_bytes: usize,
    /// Bytes of one command row
    #[arg(long, default_value_t = 416)]
    cmd_bytes: usize,
    /// Seconds per figure
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Print one JSON object instead of prose
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let bytes = (cli.n * (cli.state_bytes + cli.cmd_bytes)).max(1);
    let floor = match floor::measure(Duration::from_secs_f64(cli.seconds), bytes) {
        Ok(floor) => floor,
        Err(error) => {
            eprintln!("floor: {error}");
            return ExitCode::FAILURE;
        }
    };
    let Floor { cores, cacheline_pingpong_ns, futex_pingpong_ns, futex_same_core_ns, memcpy_ns_per_kib } =
        floor;
    if cli.json {
        let line = json!({
            "program": "floor",
            "machine": machine(),
            "cores": cores,
            "cacheline_pingpong_ns": cacheline_pingpong_ns,
            "futex_pingpong_ns": futex_pingpong_ns,
            "futex_same_core_ns": futex_same_core_ns,
            "memcpy_ns_per_kib": memcpy_ns_per_kib,
            "memcpy_bytes": bytes,
        });
        println!("{line}");
        return ExitCode::SUCCESS;
    }
    let ns = |figure: Option<f64>| figure.map_or_else(|| "one core only".into(), |ns| format!("{ns:.0} ns"));
    println!("cache line, core {} to {} and back: {}", cores.0, cores.1, ns(cacheline_pingpong_ns));
    println!("futex, core {} to {} and back:      {}", cores.0, cores.1, ns(futex_pingpong_ns));
    println!("futex, on one core and back:      {}", ns(Some(futex_same_core_ns)));
    println!("memcpy of {} KiB:                {memcpy_ns_per_kib:.1} ns/KiB", bytes / 1024);
    ExitCode::SUCCESS
}
