//! Finding a field by what one remembers of it.

/// How well a text answers a query; `None` if it does not. Each word of the query must be found, its letters in
/// order; those at the begin of words, and those that follow one another, count for more.
pub fn fits(query: &str, text: &str) -> Option<i64> {
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let mut sum = 0;
    for word in query.split_whitespace() {
        let word: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
        sum += fit(&word, &text)?;
    }
    Some(sum)
}

/// The best of the ways to find a word's letters: from each place where its first letter stands, greedily.
fn fit(word: &[char], text: &[char]) -> Option<i64> {
    let first = *word.first()?;
    let starts = text.iter().enumerate().filter(|(_, c)| **c == first).map(|(at, _)| at);
    starts.filter_map(|start| from(word, text, start)).max()
}

fn from(word: &[char], text: &[char], start: usize) -> Option<i64> {
    let mut sum = 0;
    let mut at = start;
    let mut last = None;
    for &letter in word {
        at += text.get(at..)?.iter().position(|&c| c == letter)?;
        let begins = at == 0 || !text[at - 1].is_alphanumeric();
        let follows = last.is_some_and(|last| last + 1 == at);
        // A gap costs, so that letters strewn over a sentence do not count as a word of it.
        let gap = last.map_or(0, |last| at - last - 1) as i64;
        sum += 1 + 8 * i64::from(follows) + 6 * i64::from(begins) - gap;
        last = Some(at);
        at += 1;
    }
    (sum >= 2 * word.len() as i64).then_some(sum)
}

/// Rows as people write them: `0-3,7`. What is beyond the last row, or no number, is said.
pub fn rows(text: &str, count: usize) -> Result<Vec<usize>, String> {
    let mut rows = Vec::new();
    for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
        let number = |text: &str| {
            let row: usize =
                text.trim().parse().map_err(|_| format!("{text:?} is no row. Write rows like 0-3,7."))?;
            if row < count {
                Ok(row)
            } else {
                Err(format!("There is no row {row}: rows are 0 to {}.", count.saturating_sub(1)))
            }
        };
        match part.split_once('-') {
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                rows.extend(from.min(to)..=from.max(to));
            }
            None => rows.push(number(part)?),
        }
    }
    rows.sort_unstable();
    rows.dedup();
    if rows.is_empty() { Err("Write at least one row, like 0 or 0-3,7.".into()) } else { Ok(rows) }
}

/// Rows as they are written, the shortest way.
pub fn write_rows(rows: &[usize]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = rows;
    while let Some(&from) = rest.first() {
        let run = rest.iter().enumerate().take_while(|(n, row)| **row == from + n).count();
        let to = from + run - 1;
        parts.push(if run > 1 { format!("{from}-{to}") } else { from.to_string() });
        rest = &rest[run..];
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_their_begins_and_the_nearer_ranks_higher() {
        let joint_q = "state.joint_q[FL_hip] rad joint positions";
        let joint_v = "state.joint_v[FL_hip] rad/s joint velocities";
        for query in ["joint_q", "jq", "hip rad", "STATE hip", "fl_hip pos", "posi", ""] {
            assert!(fits(query, joint_q).is_some(), "{query}");
        }
        assert!(fits("joint_q", joint_q) > fits("joint_q", joint_v));
        assert!(fits("velo", joint_v) > fits("velo", joint_q));
        for query in ["xyz", "qj", "hip quaternion", "sppp"] {
            assert!(fits(query, joint_q).is_none(), "{query}: {:?}", fits(query, joint_q));
        }
        assert!(fits("é", "ÉTÉ").is_some());
    }

    #[test]
    fn rows_are_read_and_written() {
        assert_eq!(rows("0-3,7", 8).unwrap(), [0, 1, 2, 3, 7]);
        assert_eq!(rows(" 7, 2 ,3-1", 8).unwrap(), [1, 2, 3, 7]);
        for (text, words) in
            [("", "at least one"), ("8", "0 to 7"), ("a", "no row"), ("1-", "no row"), ("0-9", "0 to 7")]
        {
            let why = rows(text, 8).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
        assert_eq!(write_rows(&[0, 1, 2, 3, 7]), "0-3,7");
        assert_eq!(write_rows(&[4]), "4");
    }
}
