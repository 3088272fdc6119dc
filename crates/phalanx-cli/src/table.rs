//! A table that is as wide as what is in it, and that may go on and on.

use crate::out::{Colour, Out};
use std::io::{self, Write};

/// Columns by name; those that begin with `>` are flush right.
pub struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<Cell>>,
    /// Of the widest cells so far.
    widths: Vec<usize>,
}

pub struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.to_string(), colour: None }
    }
}

impl Cell {
    pub fn coloured(text: impl ToString, colour: Colour) -> Self {
        Self { text: text.to_string(), colour: Some(colour) }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    pub fn new<S: Into<String>>(headers: impl IntoIterator<Item = S>) -> Self {
        let headers: Vec<String> = headers.into_iter().map(Into::into).collect();
        Self { rows: Vec::new(), widths: vec![0; headers.len()], headers }
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.headers.len());
        self.rows.push(cells);
    }

    /// Prints the rows added since it last did; the headers, too, where columns begin or have moved.
    pub fn print(&mut self, out: &mut Out) -> io::Result<()> {
        let names = self.headers.iter().map(|h| Cell::coloured(h.trim_start_matches('>'), Colour::Dim));
        let names: Vec<_> = names.collect();
        let mut moved = false;
        for row in self.rows.iter().chain([&names]) {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                moved |= cell.width() > *width;
                *width = cell.width().max(*width);
            }
        }
        let rows = std::mem::take(&mut self.rows);
        for row in [&names].into_iter().filter(|_| moved).chain(&rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                // Padding stays outside the colours, so that it counts.
                let padding = " ".repeat(self.widths[column] - cell.width());
                let text = cell.colour.map_or_else(|| cell.text.clone(), |c| out.paint(c, &cell.text));
                line += if column > 0 { "  " } else { "" };
                line += &match self.headers[column].starts_with('>') {
                    true => padding + &text,
                    false => text + &padding,
                };
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
