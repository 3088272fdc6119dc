//! A reader of the text exposition format 0.0.4 that forgives nothing.

use std::collections::{BTreeMap, BTreeSet};

/// Samples by name and labels, as `name{a="b",c="d"}` with the labels in order; families by name.
#[derive(Debug, Default)]
pub struct Exposition {
    pub samples: BTreeMap<String, f64>,
    pub kinds: BTreeMap<String, String>,
}

impl Exposition {
    /// A sample; panics where there is none.
    #[track_caller]
    pub fn get(&self, key: &str) -> f64 {
        *self.samples.get(key).unwrap_or_else(|| panic!("no {key} among {:#?}", self.samples.keys()))
    }

    /// Reads a whole text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix('\n').ok_or("the last line does not end")?;
        let mut all = Self::default();
        let (mut closed, mut family) = (BTreeSet::new(), String::new());
        let mut helped = false;
        for line in body.split('\n') {
            let wrong = |why: &str| format!("{why}: {line:?}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
                check_name(name).map_err(|e| wrong(&e))?;
                if help.trim().is_empty() || !escapes_are_known(help, "\\n") {
                    return Err(wrong("bad help"));
                }
                if !closed.insert(name.to_owned()) {
                    return Err(wrong("a family in two places"));
                }
                (family, helped) = (name.into(), true);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
                if !std::mem::take(&mut helped) || name != family {
                    return Err(wrong("a type without its help before it"));
                }
                if !["counter", "gauge", "histogram"].contains(&kind) {
                    return Err(wrong("no such type"));
                }
                if (kind == "counter") != name.ends_with("_total") {
                    return Err(wrong("counters, and nothing else, end with _total"));
                }
                all.kinds.insert(name.into(), kind.into());
            } else {
                let (key, name, value) = sample(line).map_err(|e| wrong(&e))?;
                let kind = all.kinds.get(&family).ok_or_else(|| wrong("a sample without a type"))?;
                let own = match kind.as_str() {
                    "histogram" => {
                        ["_bucket", "_sum", "_count"].iter().any(|s| name == format!("{family}{s}"))
                    }
                    _ => name == family,
                };
                if !own {
                    return Err(wrong("a sample of another family"));
                }
                if all.samples.insert(key, value).is_some() {
                    return Err(wrong("a sample twice"));
                }
            }
        }
        all.check_histograms()?;
        Ok(all)
    }

    fn check_histograms(&self) -> Result<(), String> {
        for name in self.kinds.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
            let prefix = format!("{name}_bucket{{");
            let mut buckets = Vec::new();
            for (key, count) in self.samples.iter().filter(|(key, _)| key.starts_with(&prefix)) {
                let le = key.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
                let le: f64 =
                    le.and_then(|le| le.parse().ok()).ok_or_else(|| format!("no bound in {key}"))?;
                buckets.push((le, *count));
            }
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            let last = buckets.last().ok_or_else(|| format!("{name} without buckets"))?;
            let count = self.samples.iter().find(|(key, _)| key.starts_with(&format!("{name}_count")));
            if !buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1) || last.0 != f64::INFINITY {
                return Err(format!("{name}: {buckets:?}"));
            }
            if count.map(|(_, count)| *count) != Some(last.1) {
                return Err(format!("{name}: {count:?}, and {} in all buckets", last.1));
            }
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    let ok = name.starts_with(begins) && name.chars().all(|c| begins(c) || c.is_ascii_digit());
    ok.then_some(()).ok_or_else(|| format!("no metric name {name:?}"))
}

/// Is every backslash the beginning of one of these?
fn escapes_are_known(text: &str, known: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && !chars.next().is_some_and(|c| known.contains(c)) {
            return false;
        }
    }
    true
}

/// `name{label="value",...} number`: the whole, the name, the number.
fn sample(line: &str) -> Result<(String, String, f64), String> {
    let (key, value) = line.rsplit_once(' ').ok_or("no value")?;
    let number = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        _ if value.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            value.parse().map_err(|e| format!("{e}"))?
        }
        _ => return Err(format!("no number {value:?}")),
    };
    let Some((name, rest)) = key.split_once('{') else {
        check_name(key)?;
        return Ok((key.into(), key.into(), number));
    };
    check_name(name)?;
    let mut rest = rest.strip_suffix('}').ok_or("braces")?;
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        check_name(label)?;
        if label.contains(':') {
            return Err(format!("no label {label:?}"));
        }
        let end = end_of_value(after).ok_or("a value without an end")?;
        let (value, after) = after.split_at(end);
        if !escapes_are_known(value, "\\n\"") {
            return Err(format!("bad escape in {value:?}"));
        }
        if labels.insert(label.to_owned(), value.to_owned()).is_some() {
            return Err(format!("label {label} twice"));
        }
        rest = after[1..].strip_prefix(',').unwrap_or(&after[1..]);
        if !rest.is_empty() && !after[1..].starts_with(',') {
            return Err("labels without a comma between".into());
        }
    }
    // The cluster is the same everywhere: left out of the key.
    labels.remove("cluster").ok_or("no label cluster")?;
    let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let key = if labels.is_empty() { name.into() } else { format!("{name}{{{}}}", labels.join(",")) };
    Ok((key, name.into(), number))
}

fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}
