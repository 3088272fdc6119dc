//! A table of what was tried and what came of it.

use std::io::Write;

/// Of a table of faults.
pub const COLUMNS: &[&str] = &["who", "when", "what the others see", "left"];

#[derive(Default)]
pub struct Table(Vec<Vec<String>>);

impl Table {
    pub fn with(columns: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(columns);
        table
    }

    pub fn row<S: ToString>(&mut self, cells: &[S]) {
        self.0.push(cells.iter().map(ToString::to_string).collect());
    }

    /// Past the test harness, which keeps what passing tests print to itself.
    pub fn print(&self, title: &str) {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| self.0.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max();
        let widths: Vec<_> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
        let mut text = format!("\n{title}\n");
        for (i, row) in self.0.iter().enumerate() {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, &w)| format!("{cell:<w$}")).collect();
            text += &format!("  {}\n", cells.join(" | ").trim_end());
            if i == 0 {
                let rule: Vec<_> = widths.iter().map(|&w| "-".repeat(w)).collect();
                text += &format!("  {}\n", rule.join("-|-"));
            }
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
