//! What the debugger's data cost: the CPU of a frame, of an answer, of a look; and what a cluster notices of it.
//!
//! `cargo bench -p phalanx-gui -- [--json] [--test]`. Times are of this machine and noisy: medians, and what is
//! compared is measured in turns.

use egui::{Context, RawInput, Rect, Ui, Vec2, vec2};
use egui_plot::{Line, Plot, PlotPoints};
use phalanx::{
    ClusterConfig, ClusterServer, Controller, Entry, Group, LocalCluster, Observer, Rows, Wait,
    robot::RobotSpec,
};
use phalanx_echo::Echo;
use phalanx_gui::data::{Axis, Channel, Curve, Feed, Link, Operation, Pick, Series, Stamp, Store, Wants};
use std::{
    fs, hint,
    time::{Duration, Instant},
};

/// Curves and samples of the frame that is to stay within 16 ms, and columns of its plots.
const CURVES: usize = 32;
const SAMPLES: u64 = 100_000;
const COLUMNS: usize = 900;

struct Figure {
    what: &'static str,
    value: f64,
    unit: &'static str,
}

fn main() {
    phalanx::become_worker(&[entry()]);
    let flag = |name: &str| std::env::args().any(|arg| arg == name);
    let bench = Bench { quick: flag("--test") };
    let mut figures = Vec::new();
    bench.series(&mut figures);
    bench.ingest(&mut figures);
    bench.frame(&mut figures);
    bench.feed(&mut figures);
    bench.round(&mut figures);
    if flag("--json") {
        let object: serde_json::Map<_, _> =
            figures.iter().map(|f| (format!("{} [{}]", f.what, f.unit), f.value.into())).collect();
        println!("{}", serde_json::Value::Object(object));
    } else {
        figures.iter().for_each(|f| println!("{:<64} {:>10.3} {}", f.what, f.value, f.unit));
    }
}

fn entry() -> Entry {
    Entry::new::<Echo>("echo")
}

fn config(rows: usize, name: &str) -> ClusterConfig {
    let joints: Vec<_> = (0..12).map(|joint| format!("joint{joint}")).collect();
    let robot = RobotSpec::new("quadruped", joints).expect("names that differ");
    ClusterConfig::new(&format!("bench-{name}-{}", std::process::id()), rows, robot)
}

fn effort(row: usize, joint: usize) -> Channel {
    Pick::new(Group::Cmd, "joint_effort", joint % 12).of(row)
}

/// Turn `n` of a smooth curve with noise and rare spikes.
fn value(n: u64, curve: usize) -> f64 {
    let noise = (n.wrapping_mul(2654435761) >> 16 & 1023) as f64 / 1023.0;
    let spike = if n.is_multiple_of(9973) { 5.0 } else { 0.0 };
    (n as f64 * 1e-3 * (1 + curve) as f64).sin() + 0.1 * noise + spike
}

fn stamp(n: u64) -> Stamp {
    Stamp { round: n, sim_s: n as f64 * 0.01, wall_s: n as f64 * 0.0101 }
}

struct Bench {
    /// Only to see that it runs.
    quick: bool,
}

impl Bench {
    /// Median of so many runs, ns.
    fn median(&self, runs: usize, mut run: impl FnMut()) -> f64 {
        let mut times: Vec<f64> = (0..if self.quick { 2 } else { runs })
            .map(|_| {
                let begun = Instant::now();
                run();
                begun.elapsed().as_nanos() as f64
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }

    fn series(&self, figures: &mut Vec<Figure>) {
        let count = if self.quick { 10_000 } else { 1_000_000 };
        let push = self.median(7, || {
            let mut series = Series::new(1 << 18);
            (0..count).for_each(|n| series.push(stamp(n), (n & 255) as f64));
            hint::black_box(&series);
        });
        figures.push(Figure { what: "a sample into a series", value: push / count as f64, unit: "ns" });
        let mut line = Vec::new();
        for (what, samples) in [
            ("a curve of 900 columns out of 10k samples", 10_000),
            ("a curve of 900 columns out of 100k samples", 100_000),
            ("a curve of 900 columns out of 1M samples", 1_000_000),
        ] {
            let samples = if self.quick { 10_000 } else { samples };
            let mut series = Series::new(1 << 20);
            (0..samples).for_each(|n| series.push(stamp(n), value(n, 1)));
            let range = 0.0..=samples as f64 * 0.01;
            let took = self.median(101, || series.curve(Axis::Sim, range.clone(), COLUMNS, &mut line));
            figures.push(Figure { what, value: took * 1e-3, unit: "us" });
        }
    }

    /// What an answer costs, by the number of curves that are made of it.
    fn ingest(&self, figures: &mut Vec<Figure>) {
        let rounds = if self.quick { 100 } else { 20_000 };
        let mut cluster = LocalCluster::start::<Echo>(config(1, "ingest"), "echo").expect("a cluster");
        let mut client = cluster.client().expect("its client");
        let ticket = client.trigger(Rows::All).expect("a round");
        cluster.serve();
        client.wait(ticket, Wait::default()).expect("its answer");
        let observer = Observer::attach(cluster.name()).expect("an observer");
        let record = observer.latest(0).expect("a row").expect("an answer");
        for (what, curves) in [
            ("an answer into the store, no curve of it", 0),
            ("an answer into the store, 8 curves of it", 8),
            ("an answer into the store, 32 curves of it", 32),
        ] {
            let took = self.median(5, || {
                let mut store = Store::new("bench", cluster.manifest().clone()).expect("a store");
                let wanted = (0..curves).map(|n| match n % 4 {
                    0..3 => Curve::Channel(Pick::new(Group::State, "joint_q", n % 12).of(0)),
                    _ => Curve::Derived(Operation::Derivative, vec![effort(0, n)]),
                });
                let names = ["joint_q", "joint_v", "joint_a"];
                let wanted = wanted.enumerate().map(|(n, curve)| match curve {
                    Curve::Channel(c) => Curve::Channel(Pick { field: names[n / 12].into(), ..c.pick }.of(0)),
                    derived => derived,
                });
                store.want(&Wants { curves: wanted.collect(), ..Wants::default() });
                for _ in 0..rounds {
                    store.ingest(record.clone());
                }
                hint::black_box(&store);
            });
            figures.push(Figure { what, value: took / f64::from(rounds), unit: "ns" });
        }
    }

    /// A frame of four plots of eight long curves each: getting the curves, laying out, tessellating. By egui_plot: what
    /// bench `plots` has by our own painter.
    fn frame(&self, figures: &mut Vec<Figure>) {
        let samples = if self.quick { 5_000 } else { SAMPLES };
        let all: Vec<Series> = (0..CURVES)
            .map(|curve| {
                let mut series = Series::new(1 << 18);
                (0..samples).for_each(|n| series.push(stamp(n), value(n, curve)));
                series
            })
            .collect();
        let range = 0.0..=samples as f64 * 0.01;
        let mut points = vec![Vec::new(); CURVES];
        let fetch = self.median(51, || {
            for (series, line) in all.iter().zip(&mut points) {
                series.curve(Axis::Sim, range.clone(), COLUMNS, line);
            }
        });
        let took = self.ui(|ui| {
            for (series, line) in all.iter().zip(&mut points) {
                series.curve(Axis::Sim, range.clone(), COLUMNS, line);
            }
            let size = vec2(ui.available_width(), ui.available_height() / 4.0 - 8.0);
            for (plot, lines) in points.chunks(CURVES / 4).enumerate() {
                Plot::new(plot).width(size.x).height(size.y).show(ui, |ui| {
                    for (n, line) in lines.iter().enumerate() {
                        ui.line(Line::new(format!("{n}"), PlotPoints::from_iter(line.iter().copied())));
                    }
                });
            }
        });
        figures.push(Figure {
            what: "32 curves x 100k samples: the curves",
            value: fetch * 1e-6,
            unit: "ms",
        });
        figures.push(Figure {
            what: "32 curves x 100k samples: the frame, had egui_plot painted it",
            value: took * 1e-6,
            unit: "ms",
        });
    }

    /// CPU time of a frame off screen, ns: laid out and tessellated.
    fn ui(&self, mut show: impl FnMut(&mut Ui)) -> f64 {
        let context = Context::default();
        let input = || RawInput {
            screen_rect: Some(Rect::from_min_size(Default::default(), Vec2::new(1920.0, 1080.0))),
            ..RawInput::default()
        };
        // Plots find their size in the first frames.
        for _ in 0..3 {
            context.run_ui(input(), &mut show).textures_delta.clear();
        }
        self.median(31, || {
            let mut output = context.run_ui(input(), &mut show);
            // There is no graphics card to send them to.
            output.textures_delta.clear();
            hint::black_box(context.tessellate(output.shapes, output.pixels_per_point));
        })
    }

    /// CPU of the feed's thread: of a large cluster at work, of one that rests.
    fn feed(&self, figures: &mut Vec<Figure>) {
        let rows = if self.quick { 64 } else { 4096 };
        let seconds = if self.quick { 0.1 } else { 3.0 };
        let mut cluster = LocalCluster::start::<Echo>(config(rows, "feed"), "echo").expect("a cluster");
        let mut client = cluster.client().expect("its client");
        let feed = Feed::live(cluster.name());
        feed.want(&Wants {
            overview: [effort(0, 3).pick, Pick::new(Group::Status, "solve_us", 0)].into(),
            looks_hz: 30.0,
            ..Wants::default()
        });
        while !matches!(feed.view().link, Link::Live(_)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut round = || {
            let ticket = client.trigger(Rows::All).expect("a round");
            cluster.serve();
            client.wait(ticket, Wait::default()).expect("its answers");
        };
        for _ in 0..20 {
            round();
        }
        let (before, begun) = (feed_cpu_s(), Instant::now());
        while begun.elapsed().as_secs_f64() < seconds {
            round();
            std::thread::sleep(Duration::from_millis(10));
        }
        let busy = (feed_cpu_s() - before) / begun.elapsed().as_secs_f64();
        figures.push(Figure {
            what: "30 looks/s at 4096 rows at work, of a core",
            value: 100.0 * busy,
            unit: "%",
        });
        std::thread::sleep(Duration::from_secs_f64(if self.quick { 0.0 } else { 1.5 }));
        let (before, begun) = (feed_cpu_s(), Instant::now());
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let idle = (feed_cpu_s() - before) / begun.elapsed().as_secs_f64();
        figures.push(Figure {
            what: "a cluster of 4096 rows that rests, of a core",
            value: 100.0 * idle,
            unit: "%",
        });
    }

    /// What a round is slower by while a debugger is attached, in turns of one and the same cluster.
    fn round(&self, figures: &mut Vec<Figure>) {
        let turns = if self.quick { 2 } else { 40 };
        let rounds = if self.quick { 5 } else { 300 };
        let here = Controller::here(entry()).expect("this program");
        let config = config(256, "round");
        let name = config.name.clone();
        let server = ClusterServer::start(config, here).expect("a cluster");
        let mut client = server.client().expect("its client");
        let curves = (0..4).map(|row| Curve::Channel(effort(row, 0)));
        let wants = Wants {
            rows: (0..4).collect(),
            curves: curves.collect(),
            overview: [effort(0, 3).pick].into(),
            looks_hz: 30.0,
            ..Wants::default()
        };
        let mut times = [Vec::new(), Vec::new()];
        for turn in 0..2 * turns {
            let attached = turn % 2 == 1;
            let feed = attached.then(|| Feed::live(&name));
            if let Some(feed) = &feed {
                feed.want(&wants);
                while !matches!(feed.view().link, Link::Live(_)) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            let mut us: Vec<f64> = (0..rounds)
                .map(|_| {
                    let total = client.solve(Rows::All).expect("a round").total_us();
                    // A simulator steps between two rounds.
                    std::thread::sleep(Duration::from_micros(500));
                    total
                })
                .collect();
            us.sort_by(f64::total_cmp);
            times[usize::from(attached)].push(us[us.len() / 2]);
        }
        // Of neighbouring turns, so that a busy minute of the machine falls on both.
        let mut ratios: Vec<f64> =
            times[0].iter().zip(&times[1]).map(|(without, with)| with / without).collect();
        ratios.sort_by(f64::total_cmp);
        let median = |all: &mut Vec<f64>| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let [without, with] = &mut times;
        figures.push(Figure { what: "a round of 256 rows, no debugger", value: median(without), unit: "us" });
        figures.push(Figure {
            what: "a round of 256 rows, debugger attached",
            value: median(with),
            unit: "us",
        });
        let slower = 100.0 * (ratios[ratios.len() / 2] - 1.0);
        figures.push(Figure {
            what: "a round is slower by, while a debugger is attached",
            value: slower,
            unit: "%",
        });
    }
}

/// CPU time of the feed's thread so far, s.
fn feed_cpu_s() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_feed = tasks.filter(|task| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "phalanx-feed")
    });
    let ns = of_feed.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<f64>().ok()
    });
    ns.sum::<f64>() * 1e-9
}
