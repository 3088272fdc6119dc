//! What the user has chosen to see: table, order, filter, place; and what each key does about it.

use super::{
    columns::{self, Column, ROWS, Value, WORKERS},
    look::{RowLine, Seen, WorkerLine},
    sift::Filter,
};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::ops::Range;

/// Rows whose times are looked at whether they are on the screen or not; beyond, only those that are.
const FEW: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Rows,
    Workers,
}

/// By which column, and which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    pub column: usize,
    pub reverse: bool,
}

/// What becomes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    On,
    Quit,
}

#[derive(Clone, Debug)]
pub struct App {
    pub table: Table,
    orders: [Order; 2],
    /// As typed.
    pub filter: String,
    sieve: Filter,
    /// What is being typed after `/`, and what is wrong with it.
    pub typing: Option<(String, Option<String>)>,
    pub frozen: bool,
    pub help: bool,
    pub expanded: bool,
    /// Chosen line, and the first on the screen.
    pub at: usize,
    pub top: usize,
    /// First column shown beside the fixed one.
    pub left: usize,
    /// Lines the screen has for the table.
    pub height: usize,
}

impl App {
    pub fn new(table: Table) -> Self {
        Self {
            table,
            orders: [Order::default(); 2],
            filter: String::new(),
            sieve: Filter::default(),
            typing: None,
            frozen: false,
            help: false,
            expanded: false,
            at: 0,
            top: 0,
            left: 0,
            height: FEW,
        }
    }

    pub fn order(&self) -> Order {
        self.orders[self.table as usize]
    }

    /// The keys of both tables' columns.
    fn keys() -> Vec<&'static str> {
        ROWS.iter().map(|c| c.key).chain(WORKERS.iter().map(|c| c.key)).collect()
    }

    /// Those of the table.
    pub fn titles(&self) -> Vec<(&'static str, &'static str, u16)> {
        match self.table {
            Table::Rows => ROWS.iter().map(|c| (c.key, c.title, c.width)).collect(),
            Table::Workers => WORKERS.iter().map(|c| (c.key, c.title, c.width)).collect(),
        }
    }

    /// Sorts by a column named by its key; `-key`: the largest first.
    pub fn sort_by(&mut self, text: &str) -> Result<(), String> {
        let key = text.trim_start_matches('-');
        let keys: Vec<_> = self.titles().iter().map(|(key, ..)| *key).collect();
        let column = keys.iter().position(|k| *k == key);
        let column = column
            .ok_or_else(|| format!("--sort {text}: there is no such column; there are {}", keys.join(" ")))?;
        self.orders[self.table as usize] = Order { column, reverse: text.starts_with('-') };
        Ok(())
    }

    pub fn set_filter(&mut self, text: &str) -> Result<(), String> {
        self.sieve = Filter::parse(text, &Self::keys())?;
        self.filter = text.trim().into();
        Ok(())
    }

    /// The rows to show, in order.
    pub fn sifted_rows<'s>(&self, seen: &'s Seen) -> Vec<&'s RowLine> {
        let words = |row: &RowLine| {
            let flags = [
                (row.status.overridden != 0, " overridden"),
                (row.deactivated, " deactivated"),
                (row.age > 0, " pending"),
            ];
            let flags: String = flags.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            let message = row.message.as_deref().unwrap_or_default().to_lowercase();
            format!("{}{flags} {message}", row.outcome)
        };
        sift(ROWS, &seen.rows, self.orders[0], &self.sieve, words)
    }

    pub fn sifted_workers<'s>(&self, seen: &'s Seen) -> Vec<&'s WorkerLine> {
        sift(WORKERS, &seen.workers, self.orders[1], &self.sieve, |w| columns::state(w.view.state).into())
    }

    /// How many lines there are to show.
    pub fn count(&self, seen: &Seen) -> usize {
        match self.table {
            Table::Rows => self.sifted_rows(seen).len(),
            Table::Workers => self.sifted_workers(seen).len(),
        }
    }

    /// Rows to be looked at deeply: all where they are few, or where the order or the filter is about what is found
    /// there; else those on the screen.
    pub fn deep_rows(&self, seen: &Seen) -> Vec<usize> {
        let times = ["p50", "p99"];
        let all = seen.rows.len() <= FEW
            || times.contains(&ROWS[self.orders[0].column].key)
            || self.sieve.names(&times)
            || self.sieve.has_text();
        let rows = self.sifted_rows(seen);
        let shown = if all { 0..rows.len() } else { self.shown(rows.len()) };
        // A filter for a message has to see those that it may find.
        match self.sieve.has_text() || self.sieve.names(&times) {
            true => (0..seen.rows.len()).collect(),
            false => rows[shown].iter().map(|row| row.row).collect(),
        }
    }

    /// The lines on the screen.
    pub fn shown(&self, lines: usize) -> Range<usize> {
        let top = self.top.min(lines);
        top..top.saturating_add(self.height).min(lines)
    }

    /// All lines as text.
    pub fn text(&self, seen: &Seen) -> (Vec<String>, Vec<Vec<String>>) {
        let names = self.titles().into_iter().map(|(key, title, _)| match key {
            "outcome" | "state" | "flags" => title.into(),
            _ => format!(">{title}"),
        });
        let lines = match self.table {
            Table::Rows => cells(ROWS, &self.sifted_rows(seen)),
            Table::Workers => cells(WORKERS, &self.sifted_workers(seen)),
        };
        (names.collect(), lines)
    }

    /// Keeps the chosen line, and the column it is sorted by, on the screen.
    pub fn settle(&mut self, lines: usize, height: usize) {
        self.height = height.max(1);
        self.at = self.at.min(lines.saturating_sub(1));
        self.top = self.top.min(self.at).max((self.at + 1).saturating_sub(self.height));
    }

    pub fn key(&mut self, key: KeyEvent, seen: &Seen) -> Flow {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Flow::Quit;
        }
        if let Some((text, wrong)) = &mut self.typing {
            match key.code {
                KeyCode::Esc => self.typing = None,
                KeyCode::Enter => {
                    let text = text.clone();
                    self.typing = self.set_filter(&text).err().map(|why| (text, Some(why)));
                }
                KeyCode::Backspace => drop(text.pop()),
                KeyCode::Char(letter) => {
                    text.push(letter);
                    *wrong = None;
                }
                _ => {}
            }
            return Flow::On;
        }
        if std::mem::take(&mut self.help) {
            return if key.code == KeyCode::Char('q') { Flow::Quit } else { Flow::On };
        }
        let (page, last) = (self.height.max(1), self.count(seen).saturating_sub(1));
        let columns = self.titles().len();
        let order = &mut self.orders[self.table as usize];
        match key.code {
            KeyCode::Char('q') => return Flow::Quit,
            KeyCode::Esc if self.expanded => self.expanded = false,
            KeyCode::Esc => drop(self.set_filter("")),
            KeyCode::Char('?') => self.help = true,
            KeyCode::Char('/') => self.typing = Some((self.filter.clone(), None)),
            KeyCode::Char('f') => self.frozen = !self.frozen,
            KeyCode::Enter => self.expanded = !self.expanded,
            KeyCode::Tab => {
                self.turn_to(if self.table == Table::Rows { Table::Workers } else { Table::Rows })
            }
            KeyCode::Char('r') => self.turn_to(Table::Rows),
            KeyCode::Char('w') => self.turn_to(Table::Workers),
            KeyCode::Char('R') => order.reverse = !order.reverse,
            KeyCode::Char('>' | 's') => order.column = (order.column + 1) % columns,
            KeyCode::Char('<') => order.column = (order.column + columns - 1) % columns,
            KeyCode::Char('l') | KeyCode::Right => self.left = (self.left + 1).min(columns.saturating_sub(2)),
            KeyCode::Char('h') | KeyCode::Left => self.left = self.left.saturating_sub(1),
            KeyCode::Char('j') | KeyCode::Down => self.at = (self.at + 1).min(last),
            KeyCode::Char('k') | KeyCode::Up => self.at = self.at.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.at = (self.at + page).min(last),
            KeyCode::PageUp => self.at = self.at.saturating_sub(page),
            KeyCode::Char('g') | KeyCode::Home => self.at = 0,
            KeyCode::Char('G') | KeyCode::End => self.at = last,
            _ => {}
        }
        Flow::On
    }

    fn turn_to(&mut self, table: Table) {
        if self.table != table {
            (self.table, self.at, self.top, self.left) = (table, 0, 0, 0);
        }
    }
}

/// The lines a filter keeps, in order; equal ones as they were.
fn sift<'s, T>(
    columns: &[Column<T>],
    lines: &'s [T],
    order: Order,
    sieve: &Filter,
    words: impl Fn(&T) -> String,
) -> Vec<&'s T> {
    let of = columns[order.column].of;
    let kept = lines.iter().filter(|line| sieve.keeps(columns, line, &words(line)));
    let mut kept: Vec<(Value, &T)> = kept.map(|line| (of(line), line)).collect();
    kept.sort_by(|a, b| a.0.order(&b.0, order.reverse));
    kept.into_iter().map(|(_, line)| line).collect()
}

/// What stands in lines, as wide as its columns.
pub fn cells<T>(columns: &[Column<T>], lines: &[&T]) -> Vec<Vec<String>> {
    let cell = |line: &T, column: &Column<T>| (column.of)(line).text(usize::from(column.width));
    lines.iter().map(|line| columns.iter().map(|column| cell(line, column)).collect()).collect()
}
