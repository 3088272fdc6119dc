//! Who holds up the others, and what the workers do.

use crate::{
    pages::{Action, Context},
    widgets::{
        table::{self, Column, Sort},
        text,
    },
};
use egui::Ui;
use phalanx::{fields::StatusRow, layout::LifeState};
use serde::{Deserialize, Serialize};

/// How the tables are sorted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Tables {
    stragglers: Sort,
    workers: Sort,
}

impl Default for Tables {
    fn default() -> Self {
        Self { stragglers: Sort { column: 3, falling: true }, workers: Sort::default() }
    }
}

const STRAGGLERS: [Column; 6] = [
    Column::number("row", 46.0),
    Column::number("worker", 56.0),
    Column::words("cores", 58.0),
    Column::number("was last", 66.0),
    Column::number("solve p50", 74.0),
    Column::number("p99", 66.0),
];

const WORKERS: [Column; 7] = [
    Column::number("worker", 52.0),
    Column::number("pid", 66.0),
    Column::words("state", 62.0),
    Column::words("rows", 76.0),
    Column::number("deaths", 50.0),
    Column::words("cores", 56.0),
    Column::words("at row", 50.0),
];

impl Tables {
    /// Rows by how often the round waited for them.
    pub fn stragglers(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        let overview = &cx.store.overview;
        if overview.times.is_empty() {
            ui.weak("No solve times yet: they come with the first rounds.");
            return;
        }
        let judged = overview.rounds_judged.max(1);
        let worker = |row: usize| cx.store.layout.worker_of(row);
        let mut rows: Vec<usize> = (0..overview.times.len().min(cx.store.rows())).collect();
        let times = &overview.times;
        self.stragglers.apply(&mut rows, |row, column| match column {
            0 => *row as f64,
            1 => worker(*row) as f64,
            2 => cores_of(cx, worker(*row)).first().map_or(f64::NAN, |c| *c as f64),
            3 => times[*row].was_last as f64,
            4 => times[*row].p50_us.into(),
            _ => times[*row].p99_us.into(),
        });
        let line = |line: usize| {
            let (row, w) = (rows[line], worker(rows[line]));
            let time = times[row];
            vec![
                row.to_string(),
                w.to_string(),
                cores(cores_of(cx, w)),
                format!("{:.1} %", 100.0 * time.was_last as f64 / judged as f64),
                text::duration_us(time.p50_us.into()),
                text::duration_us(time.p99_us.into()),
            ]
        };
        let named = |line: usize| format!("straggler row {}", rows[line]);
        let sort = &mut self.stragglers;
        let clicked = table::show(ui, "stragglers", &STRAGGLERS, rows.len(), Some(sort), named, line);
        if let Some(line) = clicked {
            cx.actions.push(Action::OpenRow(rows[line]));
        }
    }

    /// The workers' processes.
    pub fn workers(&mut self, ui: &mut Ui, cx: &mut Context<'_>) {
        if cx.store.workers.is_empty() {
            ui.weak("Nothing is known of the workers: recordings say nothing of them.");
            return;
        }
        let mut workers: Vec<_> = cx.store.workers.iter().collect();
        self.workers.apply(&mut workers, |w, column| match column {
            0 => w.worker as f64,
            1 => f64::from(w.pid),
            2 => w.state as u8 as f64,
            3 => w.first_row as f64,
            4 => w.deaths as f64,
            5 => w.cores.first().map_or(f64::NAN, |c| *c as f64),
            _ => w.at_row.map_or(f64::NAN, |row| row as f64),
        });
        let line = |line: usize| {
            let w = workers[line];
            let last = (w.first_row + w.rows).saturating_sub(1);
            let rows = match w.rows {
                0 => "none".into(),
                1 => w.first_row.to_string(),
                _ => format!("{}…{last}", w.first_row),
            };
            vec![
                w.worker.to_string(),
                if w.pid == 0 { "–".into() } else { w.pid.to_string() },
                state(w.state, w.built, w.rows),
                rows,
                w.deaths.to_string(),
                cores(&w.cores),
                w.at_row.map_or_else(|| "waits".into(), |row| row.to_string()),
            ]
        };
        let named = |line: usize| format!("worker {}", workers[line].worker);
        let clicked =
            table::show(ui, "workers", &WORKERS, workers.len(), Some(&mut self.workers), named, line);
        if let Some(row) = clicked.map(|line| workers[line]).filter(|w| w.rows > 0).map(|w| w.first_row) {
            cx.actions.push(Action::OpenRow(row));
        }
    }
}

fn state(state: LifeState, built: usize, rows: usize) -> String {
    match state {
        LifeState::Absent => "absent".into(),
        LifeState::Starting => format!("builds {built}/{rows}"),
        LifeState::Ready => "ready".into(),
        LifeState::Failed => "failed".into(),
        LifeState::Dead => "dead".into(),
    }
}

/// The cores a worker is planned for.
pub fn cores_of<'a>(cx: &'a Context<'_>, worker: usize) -> &'a [usize] {
    cx.store.manifest.plan.workers.get(worker).map_or(&[], |w| &w.cores)
}

/// Core numbers, runs of them joined.
pub fn cores(cores: &[usize]) -> String {
    if cores.is_empty() {
        return "any".into();
    }
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match runs.last_mut() {
            Some(run) if core == run.1 + 1 => run.1 = core,
            _ => runs.push((core, core)),
        }
    }
    let run = |(a, b): &(usize, usize)| if a == b { a.to_string() } else { format!("{a}…{b}") };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

/// A row's status in a few lines: what the pointer finds on a tile.
pub fn status_lines(status: &StatusRow) -> [(&'static str, String); 5] {
    [
        ("solve time", text::duration_us(status.solve_us.into())),
        ("cost", text::number(status.cost)),
        ("violation", text::number(status.violation)),
        ("iterations", status.iterations.to_string()),
        ("age", text::count(status.age as usize, "round")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_cores_are_joined() {
        assert_eq!(cores(&[]), "any");
        assert_eq!(cores(&[3]), "3");
        assert_eq!(cores(&[0, 1, 2, 5, 7, 8]), "0…2, 5, 7…8");
        assert_eq!(state(LifeState::Starting, 3, 8), "builds 3/8");
    }
}
