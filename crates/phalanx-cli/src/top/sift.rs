//! Filters: words that must all be true of a line.

use super::columns::{Column, Value};

/// A filter, understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(Vec<Word>);

#[derive(Clone, Debug, PartialEq)]
enum Word {
    /// A column's key, how to compare, and with what.
    Compare { key: String, how: char, number: f64 },
    /// In one of its texts.
    Contains(String),
}

impl Filter {
    /// Understands a filter for tables with such columns.
    pub fn parse(text: &str, keys: &[&str]) -> Result<Self, String> {
        let word = |word: &str| {
            let Some(at) = word.find(['<', '>', '=']) else { return Ok(Word::Contains(word.to_lowercase())) };
            let (key, rest) = word.split_at(at);
            if !keys.contains(&key) {
                return Err(format!(
                    "filter {word:?}: there is no column {key:?}; there are {}",
                    keys.join(" ")
                ));
            }
            let number =
                rest[1..].parse().map_err(|_| format!("filter {word:?}: {:?} is no number", &rest[1..]))?;
            let how = rest.chars().next().unwrap_or('=');
            Ok(Word::Compare { key: key.into(), how, number })
        };
        Ok(Self(text.split_whitespace().map(word).collect::<Result<_, _>>()?))
    }

    /// Does it name a column?
    pub fn names(&self, keys: &[&str]) -> bool {
        self.0.iter().any(|word| matches!(word, Word::Compare { key, .. } if keys.contains(&key.as_str())))
    }

    /// Does it look for text?
    pub fn has_text(&self) -> bool {
        self.0.iter().any(|word| matches!(word, Word::Contains(_)))
    }

    /// Is it true of a line, whose words are these?
    pub fn keeps<T>(&self, columns: &[Column<T>], line: &T, words: &str) -> bool {
        self.0.iter().all(|word| match word {
            Word::Contains(text) => words.contains(text.as_str()),
            Word::Compare { key, how, number } => {
                let Some(column) = columns.iter().find(|column| column.key == key) else { return true };
                match ((column.of)(line), how) {
                    (Value::Number(value), '<') => value < *number,
                    (Value::Number(value), '>') => value > *number,
                    (Value::Number(value), _) => value == *number,
                    _ => false,
                }
            }
        })
    }
}
