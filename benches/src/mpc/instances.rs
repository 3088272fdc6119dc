//! A family of instances, read from its folder.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

use crate::Error;

/// Where an array is among the numbers.
#[derive(Debug, Deserialize)]
struct Place {
    shape: Vec<usize>,
    offset: usize,
    each: usize,
}

#[derive(Debug, Deserialize)]
struct About {
    name: String,
    kind: String,
    count: usize,
    horizon: usize,
    states: usize,
    inputs: usize,
    rows: usize,
    parameters: serde_json::Value,
    arrays: BTreeMap<String, Place>,
}

/// A family: what its instances have in common, and their arrays.
#[derive(Debug)]
pub struct Instances {
    about: About,
    data: Vec<f64>,
}

impl Instances {
    /// Reads a folder.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let said =
            |name: &str, error: &dyn std::fmt::Display| format!("{}: {error}", folder.join(name).display());
        let about = fs::read(folder.join("family.json")).map_err(|e| said("family.json", &e))?;
        let about: About = serde_json::from_slice(&about).map_err(|e| said("family.json", &e))?;
        let bytes = fs::read(folder.join("data.f64")).map_err(|e| said("data.f64", &e))?;
        let data: Vec<f64> =
            bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight"))).collect();
        for (name, place) in &about.arrays {
            let last = place.offset + about.count.saturating_sub(1) * place.each;
            if last + place.shape.iter().product::<usize>() > data.len() {
                return Err(said("data.f64", &format!("too short for array {name}")).into());
            }
        }
        Ok(Self { about, data })
    }

    /// What the family is called.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// `lq`, `srbd` or `ddp`.
    pub fn kind(&self) -> &str {
        &self.about.kind
    }

    /// How many instances.
    pub fn count(&self) -> usize {
        self.about.count
    }

    /// Stages.
    pub fn horizon(&self) -> usize {
        self.about.horizon
    }

    /// States of a stage.
    pub fn states(&self) -> usize {
        self.about.states
    }

    /// Inputs of a stage.
    pub fn inputs(&self) -> usize {
        self.about.inputs
    }

    /// General rows of a stage.
    pub fn rows(&self) -> usize {
        self.about.rows
    }

    /// What the instances have in common beside arrays.
    pub fn parameters<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_value(self.about.parameters.clone())?)
    }

    /// An array of an instance. Panics if the family has none of that name: the table says who takes what.
    pub fn array(&self, name: &str, instance: usize) -> &[f64] {
        let place =
            self.about.arrays.get(name).unwrap_or_else(|| panic!("{} has no array {name}", self.name()));
        let start = place.offset + instance * place.each;
        &self.data[start..start + place.shape.iter().product::<usize>()]
    }

    /// The part of an array that belongs to a stage.
    pub fn stage(&self, name: &str, instance: usize, stage: usize) -> &[f64] {
        let size = self.about.arrays[name].shape[1..].iter().product::<usize>();
        &self.array(name, instance)[stage * size..][..size]
    }

    /// Whether all instances have the same of all these arrays.
    pub fn same(&self, names: &[&str]) -> bool {
        self.count() > 0 && names.iter().all(|&name| self.about.arrays[name].each == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two instances of `A` (two stages of two numbers each) and one `b` for both.
    fn folder(numbers: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let about = r#"{"name": "f", "kind": "lq", "says": "", "count": 2, "horizon": 2, "states": 2, "inputs": 1,
            "rows": 0, "scale": 1.0, "parameters": {"mass": 9.0}, "arrays": {
            "A": {"shape": [2, 2], "offset": 0, "each": 4}, "b": {"shape": [2], "offset": 8, "each": 0}}}"#;
        fs::write(folder.path().join("family.json"), about).expect("written");
        let bytes: Vec<u8> = (0..numbers).flat_map(|i| (i as f64).to_le_bytes()).collect();
        fs::write(folder.path().join("data.f64"), bytes).expect("written");
        folder
    }

    #[test]
    fn arrays_are_found_by_instance_and_stage() {
        let folder = folder(10);
        let family = Instances::read(folder.path()).expect("readable");
        assert_eq!((family.name(), family.kind(), family.count()), ("f", "lq", 2));
        assert_eq!(family.array("A", 1), [4.0, 5.0, 6.0, 7.0]);
        assert_eq!(family.stage("A", 1, 1), [6.0, 7.0]);
        assert_eq!((family.array("b", 0), family.array("b", 1)), (&[8.0, 9.0][..], &[8.0, 9.0][..]));
        assert!(family.same(&["b"]) && !family.same(&["A", "b"]));
        assert_eq!(family.parameters::<BTreeMap<String, f64>>().expect("numbers")["mass"], 9.0);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Instances::read(folder(9).path()).expect_err("too short").to_string();
        assert!(error.contains("data.f64") && error.contains("array b"), "{error}");
        let error = Instances::read(Path::new("/nowhere")).expect_err("nothing there").to_string();
        assert!(error.contains("/nowhere/family.json"), "{error}");
    }
}
