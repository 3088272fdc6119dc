//! Phalanx and its rivals side by side: every program at every N in both wait modes, taking turns, so that a
//! busy minute of the machine falls on all of them.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Parser;
use phalanx_benches::{Error, Floor, Machine, Outcome, Report, Wait, machine};
use serde_json::json;

const OURS: &str = "phalanx";
const RIVALS: [&str; 3] = ["rival_raw_sync", "rival_posix_sem", "rival_iceoryx2"];

/// Where every rival's round, in the better of its two modes, is to take at least [`FACTOR`] times ours. A
/// rival that spins with more processes than cores waits for the scheduler; beating that would mean little.
const CLAIM: [(usize, Wait); 3] = [(64, Wait::Spin), (256, Wait::Spin), (256, Wait::Sleep)];
const FACTOR: f64 = 10.0;

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
    /// Also write compare.json and compare.md to a folder DATE-MACHINE below this one
    #[arg(long, num_args = 0..=1, default_missing_value = "benches/runs")]
    out: Option<PathBuf>,
    /// Only see that everything runs: n=2, a fraction of a second each
    #[arg(long)]
    smoke: bool,
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
    let ours = cli.phalanx.clone().unwrap_or_else(|| here.join(OURS));
    let rivals = RIVALS.map(|name| (name, here.join(name)));
    let programs: Vec<_> = [(OURS, ours)]
        .into_iter()
        .chain(rivals)
        .filter_map(|(name, path)| Program::find(name, path))
        .collect();
    let mut run = Run { machine: machine(), load: load(), lines: Vec::new() };
    let cells: Vec<_> = cli.n.iter().flat_map(|&n| [(n, Wait::Spin), (n, Wait::Sleep)]).collect();
    for pass in 1..=cli.passes {
        for &(n, wait) in &cells {
            eprintln!("pass {pass} of {}: n={n}, {wait}", cli.passes);
            run.lines.extend(programs.iter().map(|program| program.run(n, wait, cli.seconds)));
        }
    }
    let page = run.page(&cli, &programs, &cells);
    print!("{page}");
    if let Some(out) = &cli.out {
        eprintln!("written to {}", run.write(out, &page)?.display());
    }
    // A smoke is there to find what does not run.
    match run.lines.iter().find(|line| matches!(line, Outcome::Failed { .. })) {
        Some(Outcome::Failed { program, error, .. }) if cli.smoke => {
            Err(format!("{program}: {error}").into())
        }
        _ if cli.smoke && programs.len() <= RIVALS.len() => Err("a program is missing".into()),
        _ => Ok(()),
    }
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
        eprintln!("{name} is left out: no program {}", path.display());
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
        command.args(["--json", "--n", &n.to_string(), "--wait", &wait.to_string()]);
        let output = match command.args(["--seconds", &seconds.to_string()]).output() {
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

/// Everything that was measured, and where.
struct Run {
    machine: Machine,
    /// Processes that wanted a core in the minute before, on average.
    load: f64,
    lines: Vec<Outcome>,
}

impl Run {
    /// The pass with the median p50, or why there is none.
    fn median(&self, name: &str, (n, wait): (usize, Wait)) -> Result<&Report, &str> {
        let mut reports = Vec::new();
        let mut reason = "not run";
        for line in &self.lines {
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

    /// The median of all our lines, figure by figure.
    fn floor(&self) -> Option<Floor> {
        let floors: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| match line {
                Outcome::Measured(report) => report.floor,
                Outcome::Failed { .. } => None,
            })
            .collect();
        let median = |figure: fn(&Floor) -> f64| {
            let mut figures: Vec<_> = floors.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied()
        };
        Some(Floor {
            cacheline_ns: median(|floor| floor.cacheline_ns)?,
            futex_ns: median(|floor| floor.futex_ns)?,
            memcpy_ns_per_kib: median(|floor| floor.memcpy_ns_per_kib)?,
        })
    }

    /// What is printed, and kept as compare.md.
    fn page(&self, cli: &Cli, programs: &[Program], cells: &[(usize, Wait)]) -> String {
        let Machine { cpu, cores, kernel, rustc, commit, date } = &self.machine;
        let mut page = format!(
            "# Phalanx and its rivals, {}\n\n\
             A round of N echo controllers: trigger all, wait for all. Shown is, of {} passes of {} s \
             each, the one with the median p50.\nWhat is compared, and how fair it is: `benches/README.md`.\n\n\
             - {cpu}, {cores} cores, Linux {kernel}, load {:.2} at the start\n\
             - commit {commit}, {rustc}, {date}\n",
            &date[..10],
            cli.passes,
            cli.seconds,
            self.load
        );
        if let Some(Floor { cacheline_ns, futex_ns, memcpy_ns_per_kib }) = self.floor() {
            let _ = writeln!(
                page,
                "- floor: a word to another core and back {cacheline_ns:.0} ns, a sleeper woken and waking \
                 back {futex_ns:.0} ns, copying {memcpy_ns_per_kib:.0} ns/KiB"
            );
        }
        let _ = writeln!(page, "- `{}`\n", command_line());
        page += &self.table(programs, cells);
        page += "\n× floor: the round over one hand-over and one copy of its bytes.\n";
        page += &self.verdict(programs, cells);
        page
    }

    fn table(&self, programs: &[Program], cells: &[(usize, Wait)]) -> String {
        let head =
            ["n", "wait", "program", "p50 µs", "p99 µs", "max µs", "rounds", "start ms", "× ours", "× floor"];
        let mut rows = vec![head.map(String::from)];
        for &cell in cells {
            let ours = self.median(OURS, cell).ok();
            for program in programs {
                let mut row: [String; 10] = Default::default();
                row[..3].clone_from_slice(&[cell.0.to_string(), cell.1.to_string(), program.name.into()]);
                match self.median(program.name, cell) {
                    Ok(Report { round, rounds, start_ms, .. }) => {
                        let over = |base: Option<f64>| {
                            base.map_or_else(|| "-".into(), |base| format!("{:.1}", round.p50_us / base))
                        };
                        row[3] = format!("{:.2}", round.p50_us);
                        row[4] = format!("{:.2}", round.p99_us);
                        row[5] = format!("{:.0}", round.max_us);
                        row[6] = rounds.to_string();
                        row[7] = format!("{start_ms:.0}");
                        row[8] = over(ours.map(|ours| ours.round.p50_us));
                        row[9] = over(ours.and_then(|ours| ours.floor_us));
                    }
                    Err(error) => row[3] = error.into(),
                }
                rows.push(row);
            }
        }
        markdown(&rows)
    }

    /// Whether the claim holds, as far as it was measured.
    fn verdict(&self, programs: &[Program], cells: &[(usize, Wait)]) -> String {
        let mut page = String::new();
        for cell in CLAIM.into_iter().filter(|cell| cells.contains(cell)) {
            let Ok(ours) = self.median(OURS, cell) else { continue };
            let rivals = programs.iter().filter(|program| program.name != OURS).flat_map(|program| {
                [Wait::Spin, Wait::Sleep].map(|wait| (self.median(program.name, (cell.0, wait)), wait))
            });
            let best = rivals
                .filter_map(|(theirs, wait)| Some((theirs.ok()?, wait)))
                .min_by(|(a, _), (b, _)| a.round.p50_us.total_cmp(&b.round.p50_us));
            let Some((theirs, wait)) = best else { continue };
            let ratio = theirs.round.p50_us / ours.round.p50_us;
            let holds = if ratio >= FACTOR { "holds" } else { "does not hold" };
            let _ = writeln!(
                page,
                "- n={}, {}: at least {FACTOR} times less overhead than every rival in its better mode: {holds}, \
                 {ratio:.1} times less than the best of them ({}, {wait}).",
                cell.0, cell.1, theirs.program
            );
        }
        if page.is_empty() { page } else { format!("\n{page}") }
    }

    fn write(&self, out: &Path, page: &str) -> io::Result<PathBuf> {
        let folder = out.join(format!("{}-{}", &self.machine.date[..10], self.machine.slug()));
        fs::create_dir_all(&folder)?;
        let record = json!({
            "machine": self.machine,
            "load": self.load,
            "command": command_line(),
            "lines": self.lines,
        });
        fs::write(folder.join("compare.json"), serde_json::to_string_pretty(&record)? + "\n")?;
        fs::write(folder.join("compare.md"), page)?;
        Ok(folder)
    }
}

/// A table that also reads well as text: padded, words flush left and figures flush right.
fn markdown<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3)
    });
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        for ((cell, head), width) in row.iter().zip(&rows[0]).zip(widths) {
            let _ = match head.as_str() {
                "wait" | "program" => write!(text, "| {cell:<width$} "),
                _ => write!(text, "| {cell:>width$} "),
            };
        }
        text += "|\n";
        if i == 0 {
            for (head, width) in row.iter().zip(widths) {
                let rule = "-".repeat(width - 1);
                let _ = match head.as_str() {
                    "wait" | "program" => write!(text, "| {rule}- "),
                    _ => write!(text, "| {rule}: "),
                };
            }
            text += "|\n";
        }
    }
    text
}

/// How this program was called; the path, which says nothing, left out.
fn command_line() -> String {
    ["compare".to_owned()].into_iter().chain(env::args().skip(1)).collect::<Vec<_>>().join(" ")
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}
