//! What the screen shows; everything it says by a colour it also says by a sign.

use super::{
    app::{App, Table, cells},
    columns::{self, ROWS, WORKERS, compact, symbol},
    look::{STAGES, Seen},
};
use phalanx::{Observer, Outcome, layout::LifeState};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Wrap},
};

const KEYS: &str = "\
Tab r w   rows, workers
j k, arrows, PgUp PgDn, g G   move
h l       scroll the columns
< > s     sort by another column
R         turn the order round
Enter     all about the chosen line, its log
/         filter: failed  age>3  solve>500 ...
Esc       close, no filter
f         freeze; everything goes on meanwhile
q Ctrl-C  quit

+ solved  ~ degraded  x failed  > late  ! dead  . idle
flags: o overridden, d deactivated, r reset asked for";

/// Colours, or none (`NO_COLOR`).
#[derive(Clone, Copy, Debug)]
pub struct Paint(pub bool);

impl Paint {
    fn of(self, colour: Color) -> Style {
        if self.0 { Style::new().fg(colour) } else { Style::new() }
    }

    fn outcome(self, outcome: Outcome) -> Style {
        match outcome {
            Outcome::Solved => self.of(Color::Green),
            Outcome::Degraded => self.of(Color::Yellow),
            Outcome::Failed => self.of(Color::Red).add_modifier(Modifier::BOLD),
            Outcome::Late => self.of(Color::Magenta),
            Outcome::Dead => self.of(Color::Red).add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            Outcome::Idle => self.of(Color::DarkGray),
        }
    }
}

/// Draws it all. `observer`: for the log of what is expanded.
pub fn draw(frame: &mut Frame<'_>, app: &mut App, seen: &Seen, observer: Option<&Observer>, paint: Paint) {
    let detail = if app.expanded { frame.area().height / 2 } else { 0 };
    let [head, body, below, foot] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Min(3),
        Constraint::Length(detail),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let mut lines: Vec<Line<'_>> = seen.header().into_iter().map(Line::from).collect();
    let first =
        if seen.gone.is_some() { paint.of(Color::Red).add_modifier(Modifier::BOLD) } else { Style::new() };
    lines[0] = lines[0].clone().style(first.add_modifier(Modifier::BOLD));
    lines.push(budget(seen, head.width, paint));
    frame.render_widget(Paragraph::new(lines), head);
    app.settle(app.count(seen), usize::from(body.height.saturating_sub(1)));
    table(frame, body, app, seen, paint);
    if detail > 0 {
        about(frame, below, app, seen, observer);
    }
    frame.render_widget(footer(app, seen, paint), foot);
    if app.help {
        let wide = 62.min(frame.area().width);
        let high = (KEYS.lines().count() as u16 + 2).min(frame.area().height);
        let at = Rect {
            x: (frame.area().width - wide) / 2,
            y: (frame.area().height - high) / 2,
            width: wide,
            height: high,
        };
        frame.render_widget(Clear, at);
        frame.render_widget(Paragraph::new(KEYS).block(Block::bordered().title(" keys ")), at);
    }
}

/// Where a round's time goes: a bar of letters, each for its share.
fn budget(seen: &Seen, width: u16, paint: Paint) -> Line<'static> {
    let total: f64 = seen.stages.iter().sum();
    if total <= 0.0 {
        return Line::from("no round yet");
    }
    let colours = [Color::Blue, Color::Cyan, Color::Green, Color::Yellow, Color::Blue];
    let legend: Vec<_> = STAGES
        .iter()
        .zip(seen.stages)
        .filter(|(_, us)| *us > 0.0)
        .map(|(name, us)| format!("{name} {}", compact(us, 5)))
        .collect();
    let legend = format!("  {} us", legend.join(", "));
    let room = usize::from(width).saturating_sub(legend.len() + 2).clamp(4, 40) as f64;
    let mut spans = vec![Span::raw("[")];
    let (mut at, mut drawn) = (0.0, 0);
    for ((name, us), colour) in STAGES.iter().zip(seen.stages).zip(colours) {
        at += us / total * room;
        let letters = (at.round() as usize).saturating_sub(drawn);
        drawn += letters;
        let letter = if *name == "copy out" { "o" } else { &name[..1] };
        spans.push(Span::styled(letter.repeat(letters), paint.of(colour)));
    }
    spans.extend([Span::raw("]"), Span::raw(legend)]);
    Line::from(spans)
}

fn table(frame: &mut Frame<'_>, area: Rect, app: &App, seen: &Seen, paint: Paint) {
    let (lines, styles): (Vec<Vec<String>>, Vec<Style>) = match app.table {
        Table::Rows => {
            let all = app.sifted_rows(seen);
            let shown = &all[app.shown(all.len())];
            let mut lines = cells(ROWS, shown);
            let outcome = ROWS.iter().position(|column| column.key == "outcome").unwrap_or_default();
            for (line, row) in lines.iter_mut().zip(shown) {
                line[outcome] = format!("{} {}", symbol(row.outcome), row.outcome);
            }
            (lines, shown.iter().map(|row| paint.outcome(row.outcome)).collect())
        }
        Table::Workers => {
            let all = app.sifted_workers(seen);
            let shown = &all[app.shown(all.len())];
            let style = |state| match state {
                LifeState::Ready => paint.of(Color::Green),
                LifeState::Starting | LifeState::Absent => paint.of(Color::Yellow),
                _ => paint.of(Color::Red).add_modifier(Modifier::BOLD),
            };
            (cells(WORKERS, shown), shown.iter().map(|w| style(w.view.state)).collect())
        }
    };
    let titles = app.titles();
    let order = app.order();
    let columns = fitting(app, &titles, area.width);
    let pad = |text: &str, column: usize| {
        let (key, _, width) = titles[column];
        let width = usize::from(width);
        match matches!(key, "outcome" | "state" | "flags") || (key == "core" && titles.len() == WORKERS.len())
        {
            true => format!("{text:<width$}"),
            false => format!("{text:>width$}"),
        }
    };
    let head = columns.iter().map(|&column| {
        let sorted = column == order.column;
        let title = titles[column].1;
        let style = if sorted { Modifier::BOLD | Modifier::UNDERLINED } else { Modifier::BOLD };
        Span::styled(
            pad(title, column) + if sorted { if order.reverse { "v" } else { "^" } } else { " " },
            style,
        )
    });
    let mut text = vec![Line::from(head.collect::<Vec<_>>())];
    for (i, (line, style)) in lines.iter().zip(styles).enumerate() {
        let chosen = app.top + i == app.at;
        let spans = columns.iter().map(|&column| {
            let plain = !matches!(titles[column].0, "outcome" | "state");
            Span::styled(pad(&line[column], column) + " ", if plain { Style::new() } else { style })
        });
        let whole = if chosen { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        text.push(Line::from(spans.collect::<Vec<_>>()).style(whole));
    }
    if lines.is_empty() {
        text.push(Line::from(match app.filter.is_empty() {
            true => "nothing to show".into(),
            false => format!("nothing that is {:?}; Esc takes the filter away", app.filter),
        }));
    }
    frame.render_widget(Paragraph::new(text), area);
}

/// The columns there is room for: the first, and those from the leftmost chosen on, so that the one sorted by is seen.
fn fitting(app: &App, titles: &[(&str, &str, u16)], width: u16) -> Vec<usize> {
    let from = |left: usize| {
        let mut room = width.saturating_sub(titles[0].2 + 1);
        let rest = (1 + left..titles.len()).take_while(|&column| {
            let fits = titles[column].2 < room + u16::from(column + 1 == titles.len());
            room = room.saturating_sub(titles[column].2 + 1);
            fits
        });
        std::iter::once(0).chain(rest).collect::<Vec<_>>()
    };
    let mut columns = from(app.left);
    for left in app.left..titles.len() {
        columns = from(left);
        if columns.contains(&app.order().column) || app.left > 0 {
            break;
        }
    }
    columns
}

/// All about the chosen line.
fn about(frame: &mut Frame<'_>, area: Rect, app: &App, seen: &Seen, observer: Option<&Observer>) {
    let log = |worker: usize| observer.map(|o| o.log(worker)).unwrap_or_default();
    let (title, facts, log) = match app.table {
        Table::Rows => match app.sifted_rows(seen).get(app.at) {
            Some(row) => {
                let status = &row.status;
                let mut facts = vec![
                    format!(
                        "{} in round {}; worker {}, {} answers, {} failures, {} resets since it started",
                        row.outcome, status.round, row.worker, status.solves, status.fails, status.resets
                    ),
                    format!(
                        "cost {:.6e}, violation {:.3e}, {} iterations, {:.1} us; {}",
                        status.cost,
                        status.violation,
                        status.iterations,
                        status.solve_us,
                        if row.flags().is_empty() {
                            "no flags".into()
                        } else {
                            format!("flags {}", row.flags())
                        }
                    ),
                ];
                facts.extend(row.message.as_ref().map(|text| format!("says: {text}")));
                (format!(" row {} ", row.row), facts, log(row.worker))
            }
            None => return,
        },
        Table::Workers => match app.sifted_workers(seen).get(app.at) {
            Some(w) => {
                let view = &w.view;
                let last = (view.first_row + view.rows).saturating_sub(1);
                let at = view.at_row.map_or("waits".into(), |row| format!("is at row {row}"));
                let facts = vec![format!(
                    "process {} ({}), the {}. of it; rows {} to {last}, {} built; {at}; died {} times",
                    view.pid,
                    columns::state(view.state),
                    view.generation,
                    view.first_row,
                    view.built,
                    view.deaths
                )];
                (format!(" worker {} ", view.worker), facts, log(view.worker))
            }
            None => return,
        },
    };
    let room = usize::from(area.height.saturating_sub(2)).saturating_sub(facts.len() + 1);
    let log = log[log.len().saturating_sub(room)..].iter().map(|line| Line::from(format!("| {line}")));
    let text: Vec<_> = facts.into_iter().map(Line::from).chain(log).collect();
    let block = Block::bordered().title(title);
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).block(block), area);
}

fn footer(app: &App, seen: &Seen, paint: Paint) -> Line<'static> {
    if let Some((text, wrong)) = &app.typing {
        let wrong = wrong.as_ref().map_or(String::new(), |why| format!("   {why}"));
        return Line::from(vec![Span::raw(format!("/{text}_")), Span::styled(wrong, paint.of(Color::Red))]);
    }
    let lines = app.count(seen);
    let mut parts = vec![format!("{} of {lines}", if lines == 0 { 0 } else { app.at + 1 })];
    if app.frozen {
        parts.push("FROZEN".into());
    }
    if !app.filter.is_empty() {
        parts.push(format!("/{}", app.filter));
    }
    parts.push("? help  Tab  / filter  < > R sort  f freeze  Enter more  q quit".into());
    Line::from(parts.join("  ")).style(Style::new().add_modifier(Modifier::DIM))
}
