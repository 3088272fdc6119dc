//! Commands that look and change nothing, and what they share.

pub mod controllers;
pub mod echo;
pub mod fields;
pub mod logs;
pub mod metrics;
pub mod ps;

use crate::{fail::Failure, out::remark};
use phalanx::{Error, Observer, layout::Phase};
use phalanx_shm::ShmError;
use std::ops::RangeInclusive;

/// Attaches to a cluster; to what a killed one left, if that is all there is.
pub fn attach_dead_or_alive(name: &str) -> Result<Observer, Failure> {
    match Observer::attach(name) {
        Err(Error::Shm(dead @ ShmError::OwnerDead { .. })) => {
            remark(format_args!("note: {dead}"));
            Ok(Observer::attach_post_mortem(name)?)
        }
        attached => Ok(attached?),
    }
}

/// Is the cluster still there to look at?
pub fn is_there(observer: &Observer) -> bool {
    observer.phase() != Phase::Closing && observer.is_alive()
}

/// Rows from a list such as `0,3-5`, in the order given; or `all`.
pub fn parse_rows(text: &str, rows: usize) -> Result<Vec<usize>, Failure> {
    if text.trim() == "all" {
        return Ok((0..rows).collect());
    }
    let mut chosen = Vec::new();
    for range in parse_ranges(text)? {
        check_row(*range.end(), rows)?;
        chosen.extend(range);
    }
    Ok(chosen)
}

/// What such a list says, of however many rows there are.
pub fn parse_ranges(text: &str) -> Result<Vec<RangeInclusive<usize>>, Failure> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>()) else {
            return Err(Failure::usage(format_args!("rows {text:?}: write a list like 0,3-5, or all")));
        };
        if first > last {
            return Err(Failure::usage(format_args!("rows {part}: the first is above the last")));
        }
        Ok(first..=last)
    };
    text.split(',').map(str::trim).map(range).collect()
}

/// Is there such a row?
pub fn check_row(row: usize, rows: usize) -> Result<(), Failure> {
    if row < rows {
        return Ok(());
    }
    Err(Failure::usage(format_args!("row {row} of {rows}: rows count from 0 to {}", rows - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_listed_as_users_write_them() {
        assert_eq!(parse_rows("0,3-5", 6).unwrap(), [0, 3, 4, 5]);
        assert_eq!(parse_rows(" 2 , 1 ", 6).unwrap(), [2, 1]);
        assert_eq!(parse_rows("all", 3).unwrap(), [0, 1, 2]);
        for bad in ["", "a", "5-3", "6", "0-99999999999", "1-", "-1", "1,,2"] {
            assert!(parse_rows(bad, 6).is_err(), "{bad}");
        }
    }
}
