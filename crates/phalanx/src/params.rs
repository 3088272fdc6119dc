//! A controller's parameters: name, unit, default, range and doc of each in one place, [`params!`](crate::params!).
//!
//! ```
//! use phalanx::params::{Parameters, Range, at_least, positive};
//!
//! phalanx::params! {
//!     /// Parameters of a pendulum's controller.
//!     pub struct Params {
//!         /// Nodes of the horizon.
//!         nodes: usize = 40, "", Range(1.0, 1000.0);
//!         /// Mass at the end of the rod.
//!         mass: f64 = 0.3, "kg", positive;
//!         /// Weights of angle and rate.
//!         weights: [f64; 2] = [1.0, 0.1], "", at_least(0.0);
//!     }
//! }
//!
//! let params: Params = toml::from_str("mass = 0.5").unwrap();
//! assert!(params.check().is_ok());
//! let params: Params = toml::from_str("mass = -1.0").unwrap();
//! assert_eq!(params.check().unwrap_err().to_string(), "config: params: mass is -1 kg; it must be above 0 kg");
//! assert_eq!(Params::table()[1].default, "0.3");
//! ```

use crate::{Error, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// All parameters of a controller; declared by [`params!`](crate::params!).
pub trait Parameters: DeserializeOwned {
    /// Refuses what is out of range, by its name.
    fn check(&self) -> Result<()>;
    /// What there is to set.
    fn table() -> Vec<Parameter>;
}

/// What is to be known of a parameter before it is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name in `[params]`.
    pub name: String,
    /// Its unit; empty for none.
    #[serde(default)]
    pub unit: String,
    /// As TOML writes it; empty where the controller chooses by the robot.
    #[serde(default)]
    pub default: String,
    /// Which values it takes; empty for any.
    #[serde(default)]
    pub range: String,
    /// What it is.
    pub doc: String,
}

/// Which numbers a parameter takes.
pub trait Takes {
    /// This one?
    fn takes(&self, value: f64) -> bool;
    /// In words, with a unit.
    fn words(&self, unit: &str) -> String;
}

/// Between two numbers, both taken.
#[derive(Clone, Copy, Debug)]
pub struct Range(pub f64, pub f64);

/// Above a number that is not taken itself.
#[derive(Clone, Copy, Debug)]
pub struct Above(pub f64);

/// A number or greater.
#[derive(Clone, Copy, Debug)]
pub struct AtLeast(pub f64);

/// Any number but NaN and the infinities.
#[derive(Clone, Copy, Debug)]
pub struct Finite;

/// Above 0.
#[allow(non_upper_case_globals, reason = "reads as a word in the table of parameters")]
pub const positive: Above = Above(0.0);

/// Any number but NaN and the infinities.
#[allow(non_upper_case_globals, reason = "reads as a word in the table of parameters")]
pub const finite: Finite = Finite;

/// This number or a greater one.
pub const fn at_least(least: f64) -> AtLeast {
    AtLeast(least)
}

fn with_unit(value: f64, unit: &str) -> String {
    if unit.is_empty() { format!("{value}") } else { format!("{value} {unit}") }
}

impl Takes for Range {
    fn takes(&self, value: f64) -> bool {
        (self.0..=self.1).contains(&value)
    }
    fn words(&self, unit: &str) -> String {
        format!("{} to {}", self.0, with_unit(self.1, unit))
    }
}

impl Takes for Above {
    fn takes(&self, value: f64) -> bool {
        value.is_finite() && value > self.0
    }
    fn words(&self, unit: &str) -> String {
        format!("above {}", with_unit(self.0, unit))
    }
}

impl Takes for AtLeast {
    fn takes(&self, value: f64) -> bool {
        value.is_finite() && value >= self.0
    }
    fn words(&self, unit: &str) -> String {
        format!("{} or above", with_unit(self.0, unit))
    }
}

impl Takes for Finite {
    fn takes(&self, value: f64) -> bool {
        value.is_finite()
    }
    fn words(&self, _unit: &str) -> String {
        "a finite number".into()
    }
}

/// A parameter's type: what numbers are in it to be checked.
pub trait Value {
    /// Shows every number, with where it is (`""`, `"[2]"`, `"[2][0]"`).
    fn each(&self, see: &mut dyn FnMut(&str, f64)) {
        let _ = see;
    }
}

macro_rules! numbers {
    ($($type:ty)*) => { $(
        impl Value for $type {
            fn each(&self, see: &mut dyn FnMut(&str, f64)) {
                see("", *self as f64);
            }
        }
    )* };
}

numbers!(f64 f32 usize u64 u32 i64 i32);

impl Value for bool {}
impl Value for String {}
impl Value for std::path::PathBuf {}

impl<T: Value> Value for Option<T> {
    fn each(&self, see: &mut dyn FnMut(&str, f64)) {
        self.iter().for_each(|value| value.each(see));
    }
}

impl<T: Value> Value for Vec<T> {
    fn each(&self, see: &mut dyn FnMut(&str, f64)) {
        self.as_slice().each(see);
    }
}

impl<T: Value, const N: usize> Value for [T; N] {
    fn each(&self, see: &mut dyn FnMut(&str, f64)) {
        self.as_slice().each(see);
    }
}

impl<T: Value> Value for [T] {
    fn each(&self, see: &mut dyn FnMut(&str, f64)) {
        for (i, value) in self.iter().enumerate() {
            value.each(&mut |at, number| see(&format!("[{i}]{at}"), number));
        }
    }
}

/// Refuses the first number out of range.
pub fn check(name: &str, unit: &str, value: &dyn ValueOf, range: Option<&dyn Takes>) -> Result<()> {
    let Some(range) = range else { return Ok(()) };
    let mut wrong = None;
    value.numbers(&mut |at, number| {
        if wrong.is_none() && !range.takes(number) {
            wrong = Some((at.to_owned(), number));
        }
    });
    match wrong {
        None => Ok(()),
        Some((at, number)) => Err(Error::Config(format!(
            "params: {name}{at} is {}; it must be {}",
            with_unit(number, unit),
            range.words(unit)
        ))),
    }
}

/// [`Value`] behind a pointer.
pub trait ValueOf {
    /// As [`Value::each`].
    fn numbers(&self, see: &mut dyn FnMut(&str, f64));
}

impl<T: Value> ValueOf for T {
    fn numbers(&self, see: &mut dyn FnMut(&str, f64)) {
        self.each(see);
    }
}

/// A default as TOML writes it.
pub fn shown(value: &impl Serialize) -> String {
    // `None` is what TOML cannot write: the parameter is absent.
    toml::Value::try_from(value).map_or_else(|_| String::new(), |value| value.to_string())
}

/// Declares a controller's parameters: `name: type = default, "unit", range;` with the doc above.
///
/// The struct deserialises from `[params]` (unknown names are refused), has the defaults, `check()` for the ranges and
/// `table()` for people. See [`crate::params`].
#[macro_export]
macro_rules! params {
    (
        $(#[$top:meta])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, $unit:literal $(, $range:expr)?; )*
        }
    ) => {
        $(#[$top])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        $vis struct $name {
            $(
                $(#[doc = $doc])+
                #[doc = concat!(" \n\nUnit: `", $unit, "`. Default: `", stringify!($default), "`.")]
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::params::Parameters for $name {
            fn check(&self) -> $crate::Result<()> {
                $(
                    #[allow(unused_mut, unused_assignments)]
                    let mut range: Option<&dyn $crate::params::Takes> = None;
                    $( let limits = $range; range = Some(&limits); )?
                    $crate::params::check(stringify!($field), $unit, &self.$field, range)?;
                )*
                Ok(())
            }

            fn table() -> Vec<$crate::params::Parameter> {
                let defaults = Self::default();
                vec![$(
                    $crate::params::Parameter {
                        name: stringify!($field).into(),
                        unit: $unit.into(),
                        default: $crate::params::shown(&defaults.$field),
                        range: {
                            #[allow(unused_mut, unused_assignments)]
                            let mut words = String::new();
                            $( words = $crate::params::Takes::words(&$range, $unit); )?
                            words
                        },
                        doc: [$($doc),+].map(str::trim).join(" "),
                    },
                )*]
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::params! {
        /// For tests.
        struct Params {
            /// A number,
            /// in two lines.
            gain: f64 = 0.5, "N/m", Range(0.0, 1.0);
            /// Some.
            weights: Vec<f64> = vec![1.0, 2.0], "", positive;
            /// Perhaps.
            mass: Option<f64> = None, "kg", at_least(1.0);
            /// Of the gait.
            gait: String = "trot".into(), "";
            /// Any.
            offset: [f64; 2] = [0.0, -1.0], "m", finite;
        }
    }

    fn refused(text: &str) -> String {
        let params: Params = toml::from_str(text).unwrap();
        params.check().unwrap_err().to_string()
    }

    #[test]
    fn the_table_is_what_was_declared() {
        let table = Params::table();
        assert_eq!(table[0].doc, "A number, in two lines.");
        assert_eq!((table[0].unit.as_str(), table[0].default.as_str()), ("N/m", "0.5"));
        assert_eq!(table[0].range, "0 to 1 N/m");
        assert_eq!((table[1].default.as_str(), table[1].range.as_str()), ("[1.0, 2.0]", "above 0"));
        assert_eq!((table[2].default.as_str(), table[2].range.as_str()), ("", "1 kg or above"));
        assert_eq!((table[3].default.as_str(), table[3].range.as_str()), ("\"trot\"", ""));
        assert!(Params::default().check().is_ok());
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        assert_eq!(refused("gain = 1.5"), "config: params: gain is 1.5 N/m; it must be 0 to 1 N/m");
        assert_eq!(refused("weights = [1.0, 0.0]"), "config: params: weights[1] is 0; it must be above 0");
        assert_eq!(refused("mass = 0.5"), "config: params: mass is 0.5 kg; it must be 1 kg or above");
        assert_eq!(
            refused("offset = [0.0, nan]"),
            "config: params: offset[1] is NaN m; it must be a finite number"
        );
        assert!(toml::from_str::<Params>("gian = 1.0").unwrap_err().message().contains("gain"));
    }
}
