//! The screen of a cluster made up here, in the two sizes it must be good in, and the keys.

use super::{
    app::{App, Flow, Table},
    look::{RowLine, Seen, WorkerLine},
    screen::{Paint, draw},
};
use phalanx::{Outcome, fields::StatusRow, layout::LifeState, observer::WorkerView};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};

/// A cluster of so many rows in two workers; a few rows are not well.
fn seen(rows: usize) -> Seen {
    let line = |row: usize| {
        let outcome = match row {
            3 => Outcome::Failed,
            7 => Outcome::Late,
            11 => Outcome::Dead,
            _ => Outcome::Solved,
        };
        let mut status = StatusRow::default();
        (status.round, status.solves, status.solve_us) = (1000, 900, 100.0 + row as f32);
        (status.cost, status.violation, status.iterations) = (0.5 * row as f64, 1e-7, 12);
        (status.fails, status.overridden) = (u32::from(row == 3), u8::from(row == 2));
        RowLine {
            row,
            worker: row * 2 / rows,
            core: Some(row * 2 / rows),
            outcome,
            answered: true,
            rate: Some(100.0),
            p50: Some(98.0),
            p99: Some(140.5 + row as f64),
            status,
            age: if row == 7 { 4 } else { 0 },
            deactivated: row == 5,
            reset_pending: row == 5,
            message: (row == 3).then(|| "the controller gave up: no feasible step".into()),
        }
    };
    let worker = |worker: usize| WorkerLine {
        view: WorkerView {
            worker,
            pid: 4000 + worker as u32,
            state: if worker == 1 { LifeState::Dead } else { LifeState::Ready },
            generation: 1,
            first_row: worker * rows / 2,
            rows: rows / 2,
            built: rows / 2,
            deaths: worker as u64,
            cores: vec![worker],
            at_row: None,
            died_ns: 0,
        },
        cpu: Some(37.5),
        rss_mib: Some(12.25),
        rate: Some(3200.0),
    };
    Seen {
        name: "go1".into(),
        controller: "quadruped_srbd".into(),
        phase: "ready",
        gone: None,
        uptime_s: 184.0,
        client_pid: Some(1234),
        operator_pid: None,
        hold: None,
        round: 123_456,
        rounds_per_s: 99.5,
        realtime_factor: Some(0.995),
        stages: [0.0, 12.0, 812.0, 31.0, 0.0],
        missed: (4, 1, 256),
        rows: (0..rows).map(line).collect(),
        workers: (0..2).map(worker).collect(),
    }
}

fn screen(app: &mut App, seen: &Seen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, seen, None, Paint(false))).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
}

fn press(app: &mut App, seen: &Seen, keys: &str) -> Flow {
    let flows = keys.chars().map(|key| {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\x1b' => KeyCode::Esc,
            key => KeyCode::Char(key),
        };
        app.key(KeyEvent::new(code, KeyModifiers::NONE), seen)
    });
    flows.last().unwrap()
}

/// Compares with what is kept; `PHALANX_BLESS=1` keeps what there is.
fn assert_kept(name: &str, screen: &str) {
    let path = format!("{}/src/top/screens/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("PHALANX_BLESS").is_some() {
        std::fs::write(&path, screen).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(screen, kept, "{path}; PHALANX_BLESS=1 keeps the new one");
}

#[test]
fn screens_are_as_they_were() {
    let seen = seen(64);
    assert_kept("rows-80x24", &screen(&mut App::new(Table::Rows), &seen, 80, 24));
    assert_kept("rows-140x40", &screen(&mut App::new(Table::Rows), &seen, 140, 40));
    assert_kept("workers-80x24", &screen(&mut App::new(Table::Workers), &seen, 80, 24));
    let mut app = App::new(Table::Rows);
    press(&mut app, &seen, "jjj\n");
    assert_kept("expanded-80x24", &screen(&mut app, &seen, 80, 24));
    press(&mut app, &seen, "\x1b?");
    assert_kept("help-80x24", &screen(&mut app, &seen, 80, 24));
}

#[test]
fn no_size_is_too_small() {
    let seen = seen(300);
    for (width, height) in [(1, 1), (5, 3), (20, 6), (79, 7), (300, 100)] {
        for keys in ["j", "?", "\n", "G\n", "/x", "w\n", "G>>>>>>>>>>>>>"] {
            let mut app = App::new(Table::Rows);
            press(&mut app, &seen, keys);
            screen(&mut app, &seen, width, height);
        }
    }
    for table in [Table::Rows, Table::Workers] {
        let text = screen(&mut App::new(table), &Seen::default(), 80, 24);
        assert!(text.contains("nothing to show") && text.contains("no round yet"), "{text}");
    }
}

#[test]
fn lines_are_sorted_filtered_and_walked() {
    let seen = seen(64);
    let mut app = App::new(Table::Rows);
    let rows = |app: &App| app.sifted_rows(&seen).iter().map(|row| row.row).collect::<Vec<_>>();
    assert_eq!(rows(&app)[..3], [0, 1, 2]);
    press(&mut app, &seen, "R");
    assert_eq!(rows(&app)[..3], [63, 62, 61]);
    app.sort_by("-age").unwrap();
    assert_eq!(rows(&app)[..3], [7, 0, 1], "the rest as it was");
    for (filter, expected) in [
        ("failed", vec![3]),
        ("age>3", vec![7]),
        ("solve>161 worker=1", vec![62, 63]),
        ("row<2", vec![0, 1]),
        ("feasible", vec![3]),
        ("deactivated", vec![5]),
        ("overridden", vec![2]),
        ("failed late", vec![]),
    ] {
        press(&mut app, &seen, &format!("\x1b/{filter}\n"));
        assert_eq!((rows(&app), app.typing.is_none()), (expected, true), "{filter}");
    }
    // What makes no sense stays, and is told.
    press(&mut app, &seen, "\x1b/agee>3\n");
    assert!(screen(&mut app, &seen, 120, 24).contains("there is no column \"agee\""));
    press(&mut app, &seen, "\x1b/age>x\n");
    assert!(app.typing.as_ref().unwrap().1.as_ref().unwrap().contains("\"x\" is no number"));
    press(&mut app, &seen, "\x1b");
    press(&mut app, &seen, "G");
    screen(&mut app, &seen, 80, 24);
    assert_eq!((app.at, app.top, app.height), (63, 63 + 1 - app.height, 18));
    press(&mut app, &seen, "gjjk");
    assert_eq!(app.at, 1);
    assert!(app.sort_by("nope").unwrap_err().contains("row worker core"));
    assert_eq!(press(&mut app, &seen, "f"), Flow::On);
    assert!(app.frozen && screen(&mut app, &seen, 80, 24).contains("FROZEN"));
    // The column it is sorted by is on the screen, wherever it is.
    app.sort_by("flags").unwrap();
    assert!(screen(&mut app, &seen, 80, 24).contains("FLAGS^"));
    assert_eq!(press(&mut app, &seen, "q"), Flow::Quit);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(App::new(Table::Rows).key(control_c, &seen), Flow::Quit);
}

#[test]
fn only_what_is_shown_of_many_rows_is_looked_at_deeply() {
    let (few, many) = (seen(64), seen(4096));
    let mut app = App::new(Table::Rows);
    app.settle(4096, 18);
    assert_eq!(app.deep_rows(&few).len(), 64);
    assert_eq!(app.deep_rows(&many), (0..18).collect::<Vec<_>>());
    app.sort_by("-row").unwrap();
    assert_eq!(app.deep_rows(&many)[..2], [4095, 4094]);
    app.sort_by("p99").unwrap();
    assert_eq!(app.deep_rows(&many).len(), 4096);
}
