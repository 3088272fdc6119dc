//! Rows as runs of neighbours, because neighbours are one copy.

use crate::{MirrorError, Result};
use phalanx::Rows;
use std::ops::Range;

/// The chosen rows as ascending runs. `room` and `runs` are cleared first and not allocated anew.
pub(crate) fn runs(
    chosen: Rows<'_>,
    rows: usize,
    room: &mut Vec<usize>,
    runs: &mut Vec<Range<usize>>,
) -> Result<()> {
    room.clear();
    runs.clear();
    let misuse = |why: String| Err(MirrorError::Misuse(why));
    match chosen {
        Rows::All => runs.push(0..rows),
        Rows::Range(start, end) if start > end || end > rows => {
            return misuse(format!("rows {start}..{end} of {rows}"));
        }
        Rows::Range(start, end) => runs.push(start..end),
        Rows::Mask(mask) if mask.len() != rows => {
            return misuse(format!("a mask of {} entries for {rows} rows", mask.len()));
        }
        Rows::Mask(mask) => room.extend((0..rows).filter(|&row| mask[row])),
        Rows::Ids(ids) => {
            if let Some(row) = ids.iter().find(|&&row| row >= rows) {
                return misuse(format!("row {row} of {rows}"));
            }
            room.extend(ids);
            room.sort_unstable();
        }
    }
    for &row in room.iter() {
        match runs.last_mut() {
            Some(run) if run.end >= row => run.end = row + 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs.retain(|run| !run.is_empty());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_run() {
        let pick = |chosen: Rows<'_>| {
            let mut into = Vec::new();
            runs(chosen, 6, &mut Vec::new(), &mut into)?;
            Ok(into.into_iter().map(|run| (run.start, run.end)).collect::<Vec<_>>())
        };
        assert_eq!(pick(Rows::All).unwrap(), [(0, 6)]);
        assert_eq!(pick((1..3).into()).unwrap(), [(1, 3)]);
        assert!(pick((3..3).into()).unwrap().is_empty());
        assert_eq!(pick((&[5, 0, 1, 3, 4]).into()).unwrap(), [(0, 2), (3, 6)]);
        assert_eq!(pick(Rows::Ids(&[2, 2])).unwrap(), [(2, 3)]);
        assert_eq!(
            pick(Rows::Mask(&[true, false, true, true, false, true])).unwrap(),
            [(0, 1), (2, 4), (5, 6)]
        );
        for wrong in [Rows::Range(4, 7), Rows::Range(3, 2), Rows::Ids(&[6]), Rows::Mask(&[true])] {
            assert!(matches!(pick(wrong), Err(MirrorError::Misuse(_))), "{wrong:?}");
        }
    }
}
