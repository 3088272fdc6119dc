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

/// All parameters of a controller, or those in a table of its own among them; declared by
/// [`params!`](crate::params!).
pub trait Parameters: DeserializeOwned {
    /// Refuses what is out of range, by its name.
    fn check(&self) -> Result<()> {
        self.check_in("")
    }
    /// As [`Parameters::check`], with what comes before the names (`"weights."`).
    fn check_in(&self, table: &str) -> Result<()>;
    /// What there is to set.
    fn table() -> Vec<Parameter>;
}

/// What is to be known of a parameter before it is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name in `[params]`; with a dot (`weights.force`) in a table there.
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

/// Which numbers or texts a parameter takes.
pub trait Takes {
    /// This number?
    fn takes(&self, value: f64) -> bool;
    /// This text?
    fn takes_text(&self, _text: &str) -> bool {
        true
    }
    /// In words, with a unit.
    fn words(&self, unit: &str) -> String;
}

/// Between two numbers, both taken.
#[derive(Clone, Copy, Debug)]
pub struct Range(pub f64, pub f64);

/// Above a number that is not taken itself.
#[derive(Clone, Copy, Debug)]
pub struct Above(pub f64);

/// Above 0, up to a number that is taken.
#[derive(Clone, Copy, Debug)]
pub struct UpTo(pub f64);

/// A number or greater.
#[derive(Clone, Copy, Debug)]
pub struct AtLeast(pub f64);

/// Any number but NaN and the infinities.
#[derive(Clone, Copy, Debug)]
pub struct Finite;

/// One of some whole numbers or texts.
#[derive(Clone, Copy, Debug)]
pub struct OneOf<T: 'static>(pub &'static [T]);

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
    let value = number(value);
    match unit.strip_prefix("1/") {
        _ if unit.is_empty() => value,
        Some(per) => format!("{value}/{per}"),
        None => format!("{value} {unit}"),
    }
}

/// As people write it, whatever its size.
fn number(value: f64) -> String {
    let plain = value == 0.0 || (1e-4..1e7).contains(&value.abs()) || !value.is_finite();
    if plain { format!("{value}") } else { format!("{value:e}") }
}

impl Takes for Range {
    fn takes(&self, value: f64) -> bool {
        (self.0..=self.1).contains(&value)
    }
    fn words(&self, unit: &str) -> String {
        format!("{} to {}", number(self.0), with_unit(self.1, unit))
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

impl Takes for UpTo {
    fn takes(&self, value: f64) -> bool {
        value > 0.0 && value <= self.0
    }
    fn words(&self, unit: &str) -> String {
        format!("above 0, at most {}", with_unit(self.0, unit))
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

impl Takes for OneOf<usize> {
    fn takes(&self, value: f64) -> bool {
        self.0.iter().any(|&one| one as f64 == value)
    }
    fn words(&self, _unit: &str) -> String {
        either(&self.0.iter().map(usize::to_string).collect::<Vec<_>>())
    }
}

impl Takes for OneOf<&'static str> {
    fn takes(&self, _value: f64) -> bool {
        false
    }
    fn takes_text(&self, text: &str) -> bool {
        self.0.contains(&text)
    }
    fn words(&self, _unit: &str) -> String {
        either(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>())
    }
}

/// `a, b or c`.
fn either(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// Refuses the first number or text out of range.
pub fn check(name: &str, unit: &str, value: &impl Serialize, range: &dyn Takes) -> Result<()> {
    // What TOML cannot write is `None`: the parameter is absent.
    let Ok(value) = toml::Value::try_from(value) else { return Ok(()) };
    let fits = |value: &toml::Value| match value {
        toml::Value::Float(number) => range.takes(*number),
        toml::Value::Integer(number) => range.takes(*number as f64),
        toml::Value::String(text) => range.takes_text(text),
        _ => true,
    };
    let Some((at, wrong)) = first(&value, &|value| !fits(value)) else { return Ok(()) };
    let given = match wrong {
        toml::Value::Float(number) => with_unit(*number, unit),
        toml::Value::Integer(number) => with_unit(*number as f64, unit),
        text => text.to_string(),
    };
    Err(Error::Config(format!("params: {name}{at} is {given}; it must be {}", range.words(unit))))
}

/// The first leaf of which something holds, and where it is: `""`, `"[2]"`, `".bounds[0]"`.
pub(crate) fn first<'a>(
    value: &'a toml::Value,
    holds: &dyn Fn(&toml::Value) -> bool,
) -> Option<(String, &'a toml::Value)> {
    let within = |at: String, value| first(value, holds).map(|(rest, leaf)| (at + &rest, leaf));
    match value {
        toml::Value::Array(all) => all.iter().enumerate().find_map(|(i, v)| within(format!("[{i}]"), v)),
        toml::Value::Table(all) => all.iter().find_map(|(name, v)| within(format!(".{name}"), v)),
        leaf => holds(leaf).then(|| (String::new(), leaf)),
    }
}

/// A default as TOML writes it; nothing where there is none.
pub fn shown(value: &impl Serialize) -> String {
    match toml::Value::try_from(value) {
        Ok(toml::Value::Array(all)) if all.is_empty() => String::new(),
        Ok(toml::Value::Float(value)) if value != 0.0 && value.abs() < 1e-4 => format!("{value:e}"),
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}

/// Declares a controller's parameters: `name: type = default, "unit", range;` with the doc above. Without a range, numbers
/// must be finite.
///
/// `name: type;` is a table within: a struct that is declared the same way. Its parameters are set as `[params.name]`, in
/// Python as a dict in the dict, on the command line as `--param name.of=value`.
///
/// The struct deserialises from `[params]` (unknown names are refused), has the defaults, `check()` for the ranges and
/// `table()` for people. See [`mod@crate::params`].
#[macro_export]
macro_rules! params {
    (@default $type:ty;) => { <$type as Default>::default() };
    (@default $type:ty; $default:expr) => { $default };
    (@range) => { &$crate::params::finite };
    (@range $range:expr) => { &$range };
    (@words $unit:literal) => { String::new() };
    (@words $unit:literal $range:expr) => { $crate::params::Takes::words(&$range, $unit) };
    (@check $name:expr, $value:expr;) => {
        $crate::params::Parameters::check_in($value, &format!("{}.", $name))?
    };
    (@check $name:expr, $value:expr; $unit:literal $(, $range:expr)?) => {
        $crate::params::check(&$name, $unit, $value, $crate::params!(@range $($range)?))?
    };
    (@show $all:ident, $name:expr, $type:ty, $doc:expr, $default:expr;) => {
        $all.extend(<$type as $crate::params::Parameters>::table().into_iter().map(|parameter| {
            $crate::params::Parameter { name: format!("{}.{}", $name, parameter.name), ..parameter }
        }))
    };
    (@show $all:ident, $name:expr, $type:ty, $doc:expr, $default:expr; $unit:literal $(, $range:expr)?) => {
        $all.push($crate::params::Parameter {
            name: $name.into(),
            unit: $unit.into(),
            default: $crate::params::shown($default),
            range: $crate::params!(@words $unit $($range)?),
            doc: $doc.map(str::trim).join(" "),
        })
    };
    (
        $(#[$top:meta])*
        $vis:vis struct $struct:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty $(= $default:expr, $unit:literal $(, $range:expr)?)?;
            )*
        }
    ) => {
        $(#[$top])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        $vis struct $struct {
            $(
                $(#[doc = $doc])+
                $(#[doc = concat!(" \n\nUnit: `", $unit, "`. Default: `", stringify!($default), "`.")])?
                pub $field: $type,
            )*
        }

        impl Default for $struct {
            fn default() -> Self {
                Self { $($field: $crate::params!(@default $type; $($default)?),)* }
            }
        }

        impl $crate::params::Parameters for $struct {
            fn check_in(&self, table: &str) -> $crate::Result<()> {
                $(
                    $crate::params!(
                        @check format!("{table}{}", stringify!($field)), &self.$field;
                        $($unit $(, $range)?)?
                    );
                )*
                Ok(())
            }

            fn table() -> Vec<$crate::params::Parameter> {
                let (defaults, mut all) = (Self::default(), Vec::new());
                $(
                    $crate::params!(
                        @show all, stringify!($field), $type, [$($doc),+], &defaults.$field;
                        $($unit $(, $range)?)?
                    );
                )*
                all
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::params! {
        /// A table within.
        struct Weights {
            /// Of the force.
            force: f64 = 0.5, "1/N²", Range(1e-9, 1e9);
            /// Of the position.
            position: [f64; 2] = [1.0, 2.0], "1/m²", at_least(0.0);
        }
    }

    crate::params! {
        /// For tests.
        struct Params {
            /// What counts.
            weights_of: Weights;
            /// Lanes.
            lanes: usize = 0, "", OneOf(&[0, 1, 4]);
            /// Of the method.
            method: String = "auto".into(), "", OneOf(&["auto", "exact", "quick"]);
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
        let names: Vec<_> = table[..4].iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["weights_of.force", "weights_of.position", "lanes", "method"]);
        assert_eq!((table[1].default.as_str(), table[1].unit.as_str()), ("[1.0, 2.0]", "1/m²"));
        assert_eq!(table[0].range, "1e-9 to 1e9/N²");
        assert_eq!((table[2].range.as_str(), table[3].range.as_str()), ("0, 1 or 4", "auto, exact or quick"));
        let table = &table[4..];
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
        assert_eq!(refused("gait = 'trot'\nlanes = 3"), "config: params: lanes is 3; it must be 0, 1 or 4");
        assert_eq!(
            refused("method = 'slow'"),
            "config: params: method is \"slow\"; it must be auto, exact or quick"
        );
        assert_eq!(
            refused("[weights_of]\nposition = [1.0, -inf]"),
            "config: params: weights_of.position[1] is -inf/m²; it must be 0/m² or above"
        );
        assert!(toml::from_str::<Params>("gian = 1.0").unwrap_err().message().contains("gain"));
    }
}
