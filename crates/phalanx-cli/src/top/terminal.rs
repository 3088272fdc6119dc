//! The terminal, taken and given back: at `q`, Ctrl-C and SIGTERM, and after a panic.

use super::{
    app::{App, Flow},
    look::Watcher,
    screen::{Paint, draw},
};
use crate::{
    fail::{Done, Failure},
    signals::Signals,
};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// How often signals are looked for while nothing is typed.
const LOOK: Duration = Duration::from_millis(50);

pub fn run(app: &mut App, watcher: &mut Watcher, interval: Duration) -> Done {
    let signals = Signals::block()?;
    let coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Puts a hook in place that gives the terminal back before a panic is told.
    let mut terminal =
        ratatui::try_init().map_err(|e| Failure::failed(format_args!("cannot take the terminal: {e}")))?;
    let ended = show(&mut terminal, app, watcher, interval, &signals, Paint(coloured));
    ratatui::restore();
    ended.map(|()| ExitCode::SUCCESS).map_err(|e| Failure::failed(format_args!("the terminal: {e}")))
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    app: &mut App,
    watcher: &mut Watcher,
    interval: Duration,
    signals: &Signals,
    paint: Paint,
) -> std::io::Result<()> {
    let mut seen = watcher.look(app);
    let mut next = Instant::now() + interval.min(Duration::from_millis(200));
    loop {
        terminal.draw(|frame| draw(frame, app, &seen, watcher.observer(), paint))?;
        loop {
            if signals.wait(Some(Duration::ZERO)).is_some() {
                return Ok(());
            }
            let left = next.saturating_duration_since(Instant::now());
            if event::poll(left.min(LOOK))? {
                match event::read()? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => {
                        if app.key(key, &seen) == Flow::Quit {
                            return Ok(());
                        }
                        break;
                    }
                    Event::Resize(..) => break,
                    _ => {}
                }
            }
            if Instant::now() >= next {
                next = Instant::now() + interval;
                if !app.frozen {
                    seen = watcher.look(app);
                }
                break;
            }
        }
    }
}
