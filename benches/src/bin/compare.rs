//! Phalanx and its rivals side by side: every program at every N in both wait modes, taking turns, so that a
//! busy minute of the machine falls on all of them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Parser;
use phalanx_benches::{Error, Machine, Outcome, Report, Wait, machine};
use serde_json::{Value, json};

const OURS: &str = "phalanx";
const RIVALS: [&str; 3] = ["rival_raw_sync", "rival_posix_sem", "rival_iceoryx2"];

#[derive(Parser)]
#[command(about = "Phalanx and its rivals side by side")]
struct Cli {
    /// Numbers of controllers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64, 256])]
    n: Vec<usize>,
    /// Seconds per measurement; with far more spinning processes than cores up to three times as much
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Times to go through everything; the table shows the pass with the median p50
    #[arg(long, default_value_t = 3)]
    passes: usize,
    /// The `phalanx` program [default: beside this one]
    #[arg(long)]
    phalanx: Option<PathBuf>,
    /// Also write <OUT>/<date>-<machine>/compare.json
    #[arg(long, num_args = 0..=1, default_missing_value = "benches/runs")]
    out: Option<PathBuf>,
    /// Only see that everything runs: n=2, a fraction of a second each
    #[arg(long)]
    smoke: bool,
}

/// One program under comparison.
struct Program {
    name: &'static str,
    path: PathBuf,
}

impl Program {
    /// None, and a printed reason, when it is not there.
    fn find(name: &'static str, path: PathBuf) -> Option<Self> {
        if path.is_file() {
            return Some(Self { name, path });
        }
        println!("{name} is left out: no program {}", path.display());
        None
    }

    fn run(&self, n: usize, wait: Wait, seconds: f64) -> Outcome {
        let failed = |error| Outcome::Failed { program: self.name.into(), n, wait, error };
        let mut command = Command::new(&self.path);
        if self.name == OURS {
            command.arg("bench");
        } else {
            command.args(["--warmup", &(seconds / 10.0).to_string()]);
        }
        command.args([
            "--json",
            "--n",
            &n.to_string(),
            "--wait",
            &wait.to_string(),
            "--seconds",
            &seconds.to_string(),
        ]);
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => return failed(error.to_string()),
        };
        let line = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .find(|line| match line {
                Outcome::Measured(report) => (report.n, report.wait) == (n, wait),
                Outcome::Failed { .. } => true,
            });
        match line {
            Some(Outcome::Measured(report)) => {
                Outcome::Measured(Report { program: self.name.into(), ..report })
            }
            Some(failure) => failure,
            None => {
                let said = String::from_utf8_lossy(&output.stderr);
                failed(said.lines().next_back().map_or_else(|| output.status.to_string(), str::to_owned))
            }
        }
    }
}

fn main() -> ExitCode {
    match compare(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(mut cli: Cli) -> Result<(), Error> {
    if cli.smoke {
        (cli.n, cli.seconds, cli.passes) = (vec![2], 0.1, 1);
    }
    let here = env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    let ours = cli.phalanx.unwrap_or_else(|| here.join(OURS));
    let rivals = RIVALS.map(|name| (name, here.join(name)));
    let programs: Vec<_> = [(OURS, ours)]
        .into_iter()
        .chain(rivals)
        .filter_map(|(name, path)| Program::find(name, path))
        .collect();

    let machine = machine();
    println!("{}, {} cores, Linux {}, {}", machine.cpu, machine.cores, machine.kernel, machine.rustc);
    let floor = floor(&here.join("floor"), cli.seconds / 4.0);
    let cells: Vec<_> = cli.n.iter().flat_map(|&n| [(n, Wait::Spin), (n, Wait::Sleep)]).collect();
    let mut lines = Vec::new();
    for pass in 1..=cli.passes {
        for &(n, wait) in &cells {
            eprintln!("pass {pass} of {}: n={n}, {wait}", cli.passes);
            lines.extend(programs.iter().map(|program| program.run(n, wait, cli.seconds)));
        }
    }
    table(&programs, &cells, &lines);
    if let Some(out) = cli.out {
        println!("written to {}", write(&out, &machine, &floor, &lines)?.display());
    }
    Ok(())
}

/// What `floor` says, or null.
fn floor(program: &Path, seconds: f64) -> Value {
    let output = Command::new(program).args(["--json", "--seconds", &seconds.to_string()]).output();
    let line: Option<Value> = output.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok());
    let Some(mut line) = line else {
        println!("the floor is left out: no answer from {}", program.display());
        return Value::Null;
    };
    let ns = |key: &str| line[key].as_f64().map_or_else(|| "-".into(), |ns| format!("{ns:.0} ns"));
    println!(
        "floor: cache line there and back {}, futex {} (on one core {}), memcpy {}/KiB",
        ns("cacheline_pingpong_ns"),
        ns("futex_pingpong_ns"),
        ns("futex_same_core_ns"),
        ns("memcpy_ns_per_kib")
    );
    line.as_object_mut().map(|line| line.remove("machine"));
    line
}

fn table(programs: &[Program], cells: &[(usize, Wait)], lines: &[Outcome]) {
    println!(
        "{:>5} {:5} {:16} {:>12} {:>12} {:>12} {:>9} {:>10}",
        "n", "wait", "program", "p50 µs", "p99 µs", "max µs", "rounds", "p50 ratio"
    );
    for &(n, wait) in cells {
        let ours = median(lines, OURS, n, wait).ok().map(|ours| ours.round.p50_us);
        for program in programs {
            let name = program.name;
            match median(lines, name, n, wait) {
                Ok(Report { round, rounds, .. }) => {
                    let ratio = ours.map_or_else(|| "-".into(), |ours| format!("{:.2}", round.p50_us / ours));
                    println!(
                        "{n:>5} {wait:5} {name:16} {:>12.2} {:>12.2} {:>12.2} {rounds:>9} {ratio:>10}",
                        round.p50_us, round.p99_us, round.max_us
                    );
                }
                Err(error) => println!("{n:>5} {wait:5} {name:16} {error}"),
            }
        }
    }
}

/// The pass with the median p50, or why there is none.
fn median<'a>(lines: &'a [Outcome], name: &str, n: usize, wait: Wait) -> Result<&'a Report, &'a str> {
    let mut reports = Vec::new();
    let mut reason = "not run";
    for line in lines {
        match line {
            Outcome::Measured(report)
                if (report.program.as_str(), report.n, report.wait) == (name, n, wait) =>
            {
                reports.push(report);
            }
            Outcome::Failed { program, n: rows, wait: mode, error }
                if (program.as_str(), *rows, *mode) == (name, n, wait) =>
            {
                reason = error;
            }
            _ => {}
        }
    }
    reports.sort_by(|a, b| a.round.p50_us.total_cmp(&b.round.p50_us));
    reports.get(reports.len() / 2).copied().ok_or(reason)
}

fn write(out: &Path, machine: &Machine, floor: &Value, lines: &[Outcome]) -> io::Result<PathBuf> {
    let folder = out.join(format!("{}-{}", &machine.date[..10], machine.slug()));
    fs::create_dir_all(&folder)?;
    let path = folder.join("compare.json");
    let record = json!({ "machine": machine, "floor": floor, "lines": lines });
    fs::write(&path, serde_json::to_string_pretty(&record)? + "\n")?;
    Ok(path)
}
