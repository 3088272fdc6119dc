//! The terminal, taken and given back: at `q`, Ctrl-C and SIGTERM, and after a panic. Where it hangs up, that is the end.

use super::{
    app::{App, Flow},
    look::Watcher,
    screen::{Paint, draw},
};
use crate::{
    fail::{Done, Failure},
    signals::Signals,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
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
    if is_hung_up(Duration::ZERO) {
        // What is gone is not given back: dropped, it would complain to a stderr that is gone too, and that is a panic.
        std::mem::forget(terminal);
        return Ok(ExitCode::SUCCESS);
    }
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
) -> io::Result<()> {
    let mut seen = watcher.look(app);
    let mut next = Instant::now() + interval.min(Duration::from_millis(200));
    loop {
        terminal.draw(|frame| draw(frame, app, &seen, watcher.observer(), paint))?;
        loop {
            if signals.wait(Some(Duration::ZERO)).is_some() {
                return Ok(());
            }
            if is_hung_up(Duration::ZERO) {
                return Ok(());
            }
            if event::poll(Duration::ZERO)? {
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
            is_hung_up(next.saturating_duration_since(Instant::now()).min(LOOK));
        }
    }
}

/// Waits until something is typed, for so long at most; is the terminal gone (a connection was lost)? Whoever reads
/// events from such a terminal waits for one for ever, and busily.
fn is_hung_up(most: Duration) -> bool {
    // The one that events are read from.
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let from = if stdin.is_terminal() { stdin.as_fd() } else { stdout.as_fd() };
    let mut terminal = [PollFd::new(from, PollFlags::POLLIN)];
    let most = PollTimeout::from(most.as_millis().min(1000) as u16);
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    poll(&mut terminal, most).is_ok() && terminal[0].revents().is_some_and(|seen| seen.intersects(gone))
}
