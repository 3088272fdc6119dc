//! What the elements of a field are called.

use phalanx::Field;

/// Names of a field's elements in the order they lie in: `[FL_hip]`, `[FL].x`, `[0]`, `[trot,12]`; one empty name for
/// a scalar. Behind `group.field` they make a column's name.
pub fn element_names(field: &Field) -> Vec<String> {
    let axes = components(field);
    let indexed = field.shape.len() - usize::from(axes.is_some());
    (0..field.len())
        .map(|element| {
            let mut rest = element;
            let mut at: Vec<_> = field.shape.iter().rev().map(|&d| (rest % d, rest /= d).0).collect();
            at.reverse();
            let index = |(dimension, &i): (usize, &usize)| match field.labels.get(i) {
                Some(label) if dimension == 0 => label.clone(),
                _ => i.to_string(),
            };
            let indices: Vec<_> = at[..indexed].iter().enumerate().map(index).collect();
            let brackets =
                if indices.is_empty() { String::new() } else { format!("[{}]", indices.join(",")) };
            match axes {
                Some(axes) => format!("{brackets}.{}", axes[at[indexed]]),
                None => brackets,
            }
        })
        .collect()
}

/// Names along a last dimension that has no labels: the axes of vectors in a frame, the parts of a quaternion.
pub(crate) fn components(field: &Field) -> Option<&'static [&'static str]> {
    let last = *field.shape.last()?;
    let labelled = field.shape.len() == 1 && !field.labels.is_empty();
    match last {
        _ if labelled || field.frame.is_empty() => None,
        3 => Some(&["x", "y", "z"]),
        4 if field.frame.ends_with("wxyz") => Some(&["w", "x", "y", "z"]),
        4 if field.frame.ends_with("xyzw") => Some(&["x", "y", "z", "w"]),
        _ => None,
    }
}

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
    fn elements_have_speaking_names() {
        let field = |shape: &[usize]| Field::new("x", "", "").shape(shape);
        for (field, names) in [
            (field(&[]), &[""][..]),
            (field(&[2]), &["[0]", "[1]"]),
            (field(&[2]).labels(&["FL_hip", "FR_hip"]), &["[FL_hip]", "[FR_hip]"]),
            (field(&[1, 3]).labels(&["FL"]).frame("world"), &["[FL].x", "[FL].y", "[FL].z"]),
            (field(&[1, 2]).labels(&["trot"]), &["[trot,0]", "[trot,1]"]),
            (field(&[3]).frame("base"), &[".x", ".y", ".z"]),
            (field(&[1, 4]).frame("world, order xyzw"), &["[0].x", "[0].y", "[0].z", "[0].w"]),
            (field(&[0, 3]).frame("world"), &[]),
        ] {
            assert_eq!(element_names(&field), names);
        }
    }

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
