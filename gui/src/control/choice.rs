//! Which rows an order is about.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which rows an order is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Choice {
    /// The one that is looked at.
    #[default]
    This,
    /// Some, as written: `0-15, 20`.
    Some(String),
    /// All.
    All,
}

impl Choice {
    /// The rows, ascending, or what is wrong with what was written.
    pub fn rows(&self, this: usize, count: usize) -> Result<Vec<usize>, String> {
        match self {
            Choice::This => Ok(vec![this]),
            Choice::Some(text) => parse(text, count),
            Choice::All => Ok((0..count).collect()),
        }
    }

    /// In words.
    pub fn words(&self, this: usize, count: usize) -> String {
        match self {
            Choice::This => format!("row {this}"),
            Choice::Some(text) => format!("rows {text}"),
            Choice::All => format!("all {count} rows"),
        }
    }
}

/// Rows as people write them: numbers and ranges, both ends included, with commas or spaces between.
pub fn parse(text: &str, count: usize) -> Result<Vec<usize>, String> {
    let mut rows = BTreeSet::new();
    for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
        let number = |text: &str| {
            text.parse::<usize>().map_err(|_| format!("{part:?} is no row: write such as 0-15, 20"))
        };
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if last >= count {
            return Err(format!("there is no row {last}: rows count from 0 to {}", count.saturating_sub(1)));
        }
        if first > last {
            return Err(format!("{part:?} ends before it begins"));
        }
        rows.extend(first..=last);
    }
    if rows.is_empty() {
        return Err("no rows: write such as 0-15, 20".into());
    }
    Ok(rows.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_as_people_write_them() {
        assert_eq!(parse("0-2, 5 4,4", 8), Ok(vec![0, 1, 2, 4, 5]));
        for (text, why) in [
            ("", "no rows"),
            ("7-8", "no row 8"),
            ("3-1", "ends before"),
            ("one", "no row: write"),
            ("-3", "no row: write"),
            ("0-99999999999999999999999", "no row: write"),
            ("0-18446744073709551615", "no row 18446744073709551615"),
        ] {
            assert!(parse(text, 8).unwrap_err().contains(why), "{text:?}");
        }
    }
}
