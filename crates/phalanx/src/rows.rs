//! Which rows a call is about.

use crate::{Error, Result};
use std::ops::{Range, RangeFull};

/// A choice of rows: all, a mask, ids, or a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows<'a> {
    /// Every row.
    All,
    /// Those whose entry is true; one entry per row.
    Mask(&'a [bool]),
    /// These, each at most once, in any order.
    Ids(&'a [usize]),
    /// From the first number up to before the second.
    Range(usize, usize),
}

impl Rows<'_> {
    /// Writes the chosen rows in ascending order into `into` (cleared first; no allocation if it has room).
    pub(crate) fn collect(self, rows: usize, into: &mut Vec<u32>) -> Result<()> {
        into.clear();
        let misuse = |why: String| Err(Error::Misuse(why));
        match self {
            Rows::All => into.extend(0..rows as u32),
            Rows::Mask(mask) if mask.len() != rows => {
                return misuse(format!(
                    "a mask of {} entries for {rows} rows: give one entry per row",
                    mask.len()
                ));
            }
            Rows::Mask(mask) => {
                into.extend(
                    mask.iter().enumerate().filter(|(_, chosen)| **chosen).map(|(row, _)| row as u32),
                );
            }
            Rows::Range(start, end) if start > end || end > rows => {
                return misuse(format!("rows {start}..{end} of {rows}"));
            }
            Rows::Range(start, end) => into.extend(start as u32..end as u32),
            Rows::Ids(ids) => {
                if let Some(row) = ids.iter().find(|&&row| row >= rows) {
                    return misuse(format!("row {row} of {rows}: rows count from 0 to {}", rows - 1));
                }
                if ids.len() > rows {
                    return misuse(format!("{} ids for {rows} rows: name each row at most once", ids.len()));
                }
                into.extend(ids.iter().map(|&row| row as u32));
                into.sort_unstable();
                if let Some(pair) = into.windows(2).find(|pair| pair[0] == pair[1]) {
                    return misuse(format!("row {} is named twice", pair[0]));
                }
            }
        }
        Ok(())
    }
}

impl From<RangeFull> for Rows<'_> {
    fn from(_: RangeFull) -> Self {
        Rows::All
    }
}

impl From<Range<usize>> for Rows<'_> {
    fn from(range: Range<usize>) -> Self {
        Rows::Range(range.start, range.end)
    }
}

impl<'a> From<&'a [bool]> for Rows<'a> {
    fn from(mask: &'a [bool]) -> Self {
        Rows::Mask(mask)
    }
}

impl<'a> From<&'a [usize]> for Rows<'a> {
    fn from(ids: &'a [usize]) -> Self {
        Rows::Ids(ids)
    }
}

impl<'a, const N: usize> From<&'a [usize; N]> for Rows<'a> {
    fn from(ids: &'a [usize; N]) -> Self {
        Rows::Ids(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_choose() {
        let mut rows = Vec::new();
        let mut pick = |choice: Rows<'_>| choice.collect(4, &mut rows).map(|()| rows.clone());
        assert_eq!(pick(Rows::All).unwrap(), [0, 1, 2, 3]);
        assert_eq!(pick((1..3).into()).unwrap(), [1, 2]);
        assert_eq!(pick((&[3, 0]).into()).unwrap(), [0, 3]);
        assert_eq!(pick(Rows::Mask(&[false, true, false, true])).unwrap(), [1, 3]);
        assert!(pick((2..2).into()).unwrap().is_empty());
        for (bad, says) in [
            (Rows::Mask(&[true]), "one entry per row"),
            (Rows::Ids(&[4]), "row 4 of 4"),
            (Rows::Ids(&[1, 1]), "named twice"),
            (Rows::Ids(&[0, 1, 2, 3, 0]), "at most once"),
            (Rows::Range(3, 5), "3..5 of 4"),
            (Rows::Range(3, 2), "3..2 of 4"),
        ] {
            let error = pick(bad).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
