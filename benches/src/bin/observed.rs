//! What looking on costs a round: rounds while somebody looks on and rounds while nobody does, in turns of a tenth of
//! a second, so that a busy moment of the machine falls on both.
//!
//! Whoever looks on is a line of [`ONLOOKERS`].

use clap::Parser;
use phalanx::{
    ClusterClient, ClusterConfig, ClusterServer, Controller, Entry, Group, Observer, Rows, robot::RobotSpec,
};
use phalanx_benches::{Error, Percentiles, Wait, machine};
use serde_json::json;
use std::{
    env,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// What an onlooker has seen.
#[derive(Default)]
struct Seen {
    /// Looks, and the time of all of them, µs.
    looks: u64,
    busy_us: f64,
    /// Records copied, and those that were overwritten before.
    records: u64,
    missed: u64,
}

/// A look, again and again; told whether it is the first after a pause, in which it missed what it missed.
type Look<'a> = Box<dyn FnMut(&mut Seen, bool) + 'a>;

/// Name, what it does, and how it is made.
type Onlooker = (&'static str, &'static str, for<'a> fn(&'a Observer) -> Result<Look<'a>, Error>);

const ONLOOKERS: [Onlooker; 3] = [
    ("debugger", "follows all rows and reads every row's status", debugger),
    ("statuses", "reads every row's status", statuses),
    ("metrics", "renders the text for Prometheus", metrics),
];

fn debugger(observer: &Observer) -> Result<Look<'_>, Error> {
    let mut follower = observer.follow(0..observer.rows())?;
    let mut statuses = statuses(observer)?;
    Ok(Box::new(move |seen, first| {
        let before = follower.missed();
        let records = follower.poll(|record| _ = std::hint::black_box(record.round)) as u64;
        if !first {
            seen.records += records;
            seen.missed += follower.missed() - before;
        }
        statuses(seen, first);
    }))
}

fn statuses(observer: &Observer) -> Result<Look<'_>, Error> {
    let mut words = vec![0; observer.manifest().schema.record(Group::Status)?.used_words()];
    Ok(Box::new(move |_, _| {
        for row in 0..observer.rows() {
            std::hint::black_box(observer.latest_of(row, Group::Status, &mut words));
        }
    }))
}

fn metrics(observer: &Observer) -> Result<Look<'_>, Error> {
    Ok(Box::new(move |_, _| drop(std::hint::black_box(phalanx::metrics::text(observer)))))
}

/// What looking on costs a round
#[derive(Parser)]
struct Cli {
    /// Rows
    #[arg(short, long, default_value_t = 256)]
    n: usize,
    /// Worker processes
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// How worker and client wait
    #[arg(long, value_enum, default_value_t = Wait::Spin)]
    wait: Wait,
    /// Rounds per second that the simulator makes; 0 for as many as go
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// Looks per second
    #[arg(long, default_value_t = 60.0)]
    hz: f64,
    /// Who looks on [default: all of them, in turn]
    #[arg(long)]
    who: Vec<String>,
    /// Seconds to measure each
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    phalanx::become_worker(&[Entry::threaded::<phalanx_echo::Echo>("echo")]);
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("observed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Error> {
    if let Some(who) = cli.who.iter().find(|who| ONLOOKERS.iter().all(|(name, ..)| name != who)) {
        let names = ONLOOKERS.map(|(name, ..)| name).join(", ");
        return Err(format!("nobody is called {who:?}; there are {names}").into());
    }
    let names = |of: &str, count: usize| (0..count).map(|i| format!("{of}_{i}")).collect::<Vec<_>>();
    let robot = RobotSpec::new("bench", names("joint", 12))?.with_contacts(names("contact", 4))?;
    let mut config = ClusterConfig::new(&format!("observed-{}", std::process::id()), cli.n, robot);
    config.cpu.workers = Some(cli.workers);
    config.spin_us = Some(if cli.wait == Wait::Spin { 50_000 } else { 0 });
    let server = ClusterServer::start(config, Controller::program(env::current_exe()?)?.hosted("echo"))?;
    let mut client = server.client()?;
    for (name, does, make) in ONLOOKERS {
        if cli.who.is_empty() || cli.who.iter().any(|who| who == name) {
            let (pair, seen) = measure(cli, &mut client, server.name(), make)?;
            print(cli, name, does, pair, &seen);
        }
    }
    Ok(())
}

/// Rounds without and with the onlooker.
fn measure(
    cli: &Cli,
    client: &mut ClusterClient,
    cluster: &str,
    make: for<'a> fn(&'a Observer) -> Result<Look<'a>, Error>,
) -> Result<([Percentiles; 2], Seen), Error> {
    let (looking, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let observer = Observer::attach(cluster)?;
    thread::scope(|scope| {
        let onlooker = scope.spawn(|| -> Result<Seen, String> {
            let mut look = make(&observer).map_err(|e| e.to_string())?;
            let (mut seen, mut first) = (Seen::default(), true);
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                if looking.load(Ordering::Relaxed) {
                    look(&mut seen, first);
                    if !std::mem::take(&mut first) {
                        seen.looks += 1;
                        seen.busy_us += began.elapsed().as_secs_f64() * 1e6;
                    }
                } else {
                    first = true;
                }
                thread::sleep(Duration::from_secs_f64(1.0 / cli.hz).saturating_sub(began.elapsed()));
            }
            Ok(seen)
        });
        let rounds = rounds(cli, client, &looking);
        over.store(true, Ordering::Relaxed);
        let seen = onlooker.join().map_err(|_| "the onlooker panicked")??;
        Ok((rounds?.map(Percentiles::from), seen))
    })
}

/// Times of rounds, ns: while nobody looks on, and while somebody does.
fn rounds(cli: &Cli, client: &mut ClusterClient, looking: &AtomicBool) -> Result<[Vec<u64>; 2], Error> {
    let turn = Duration::from_millis(100);
    let turns = ((cli.seconds / turn.as_secs_f64()) as usize).max(2).next_multiple_of(2);
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..=turns {
        looking.store(number % 2 == 1, Ordering::Relaxed);
        let (began, mut next) = (Instant::now(), Instant::now());
        while began.elapsed() < turn {
            for row in 0..client.rows() {
                client
                    .state
                    .row_mut(row)
                    .chunks_mut(8)
                    .for_each(|line| line[0] = std::hint::black_box(line[0]));
            }
            let start = Instant::now();
            client.solve(Rows::All)?;
            // The first turn warms up.
            if number > 0 {
                times[number % 2].push(start.elapsed().as_nanos() as u64);
            }
            if cli.rate > 0.0 {
                next += Duration::from_secs_f64(1.0 / cli.rate);
                while Instant::now() < next {
                    std::hint::spin_loop();
                }
            }
        }
    }
    Ok(times)
}

fn print(cli: &Cli, name: &str, does: &str, [alone, observed]: [Percentiles; 2], seen: &Seen) {
    let more = (observed.p50_us / alone.p50_us - 1.0) * 100.0;
    let look_us = seen.busy_us / seen.looks.max(1) as f64;
    if cli.json {
        let line = json!({
            "who": name, "n": cli.n, "wait": cli.wait, "rate": cli.rate, "hz": cli.hz, "alone": alone,
            "observed": observed, "p50_more_percent": more, "look_us": look_us, "looks": seen.looks,
            "records": seen.records, "missed": seen.missed, "machine": machine(),
        });
        println!("{line}");
        return;
    }
    println!(
        "{name} ({does}, {} a second): p50 {:.2} us alone, {:.2} us observed ({more:+.1} %); mean {:.2}, {:.2}; \
         a look {look_us:.0} us, {} records, {} missed",
        cli.hz, alone.p50_us, observed.p50_us, alone.mean_us, observed.mean_us, seen.records, seen.missed
    );
}
