//! Labels as identifiers.

/// Turns labels into identifiers (a letter or `_`, then those and digits), each different from all others even for
/// readers that drop underscores and capitals, as JSON names of Protobuf do.
#[derive(Debug, Default)]
pub(crate) struct Identifiers {
    taken: std::collections::HashSet<String>,
}

impl Identifiers {
    /// The identifier of a label.
    pub fn of(&mut self, label: &str) -> String {
        let mut name: String =
            label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            name.insert(0, 'n');
        }
        let stem = name.clone();
        let mut count = 1;
        while !self.taken.insert(name.replace('_', "").to_ascii_lowercase()) {
            count += 1;
            name = format!("{stem}_n{count}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_identifiers_and_differ() {
        let mut names = Identifiers::default();
        let of = ["FL_hip", "fl_hip", "FLHip", "2nd", "", "left foot", "left-foot", "γ"].map(|l| names.of(l));
        assert_eq!(of[0], "FL_hip");
        assert_eq!(of[3], "n2nd");
        let same: std::collections::HashSet<_> =
            of.iter().map(|n| n.replace('_', "").to_ascii_lowercase()).collect();
        assert_eq!(same.len(), of.len(), "{of:?}");
        assert!(of.iter().all(|n| n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')), "{of:?}");
    }
}
