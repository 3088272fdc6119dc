//! Start, a round, stop, over and over: nothing piles up.
//!
//! As many as fit into the time of a CI run by default; `PHALANX_CYCLES=10000` for that many.

mod common;

use common::{config, faulty, holdings, nothing_left, table::Table};
use phalanx::{ClusterServer, Rows};
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

/// Resident memory, KiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Arenas of this process' tests.
fn arenas() -> usize {
    let mine = format!("-t{}-", std::process::id());
    let names = fs::read_dir("/dev/shm").unwrap().flatten();
    names.filter(|entry| entry.file_name().to_string_lossy().contains(&mine)).count()
}

fn census() -> BTreeMap<&'static str, usize> {
    let mut census = holdings();
    census.insert("arenas", arenas());
    census.insert("resident KiB", resident());
    census
}

#[test]
fn ten_thousand_starts_and_stops_leave_nothing() {
    let wanted = std::env::var("PHALANX_CYCLES").ok().and_then(|n| n.parse().ok());
    let (cycles, limit) = wanted.map_or((10_000, Duration::from_secs(150)), |n| (n, Duration::MAX));
    let mut table =
        Table::with(&["cycles", "s", "arenas", "children", "descriptors", "threads", "resident KiB"]);
    let since = Instant::now();
    let mut note = |cycle: usize| {
        let census = census();
        let mut cells = vec![cycle.to_string(), format!("{:.1}", since.elapsed().as_secs_f64())];
        cells.extend(
            ["arenas", "children", "descriptors", "threads", "resident KiB"].map(|k| census[k].to_string()),
        );
        table.row(&cells);
        census
    };
    let mut start = None;
    let mut done = 0;
    while done < cycles && since.elapsed() < limit {
        let config = config(2);
        let name = config.name.clone();
        let server = ClusterServer::start(config, faulty().hosted("plain")).unwrap();
        let mut client = server.client().unwrap();
        assert!(client.solve(Rows::All).unwrap().all_solved());
        // In either order.
        if done % 2 == 0 {
            drop(client);
            drop(server);
        } else {
            drop(server);
            drop(client);
        }
        done += 1;
        if done % 1000 == 0 {
            nothing_left(&name);
        }
        match done {
            // Allocator, thread stacks and tables of the process have their size by now.
            200 => start = Some(note(done)),
            1000 | 2500 | 5000 => drop(note(done)),
            _ => {}
        }
    }
    let end = note(done);
    let start = start.expect("more than 200 cycles");
    for what in ["arenas", "children", "descriptors", "threads"] {
        assert_eq!(end[what], start[what], "{what} after {done} cycles");
    }
    let grown = end["resident KiB"].saturating_sub(start["resident KiB"]);
    assert!(grown < 4096, "{grown} KiB more after {done} cycles");
    table.row(&[format!("of {cycles}, {:.2} ms each", since.elapsed().as_secs_f64() * 1e3 / done as f64)]);
    table.print("Start, round, stop");
}
