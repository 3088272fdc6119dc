//! Every setting of a cluster: its name, unit, default and check, in one struct. TOML and the builder fill
//! this same struct; an unknown key is refused by name.

use crate::{Error, Result, params, plan::CpuConfig, rates::Rates, robot::RobotSpec, schema::Field};
use phalanx_shm::{ArenaName, Dtype};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// Element type of state and command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Real {
    /// Single precision, what simulators use.
    #[default]
    F32,
    /// Double precision.
    F64,
}

impl Real {
    /// As an element type.
    pub fn dtype(self) -> Dtype {
        match self {
            Real::F32 => Dtype::F32,
            Real::F64 => Dtype::F64,
        }
    }
}

/// What the client sees in the command row of a row that failed or is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The last complete command.
    #[default]
    Hold,
    /// The robot's homing positions, everything else at its default.
    Homing,
    /// Zeros (orientations stay the identity).
    Zero,
    /// What the controller itself gives as safe; a dead row, which cannot be asked, gets homing.
    Safe,
}

/// Which values stay at hand for observers and dumps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryConfig {
    /// Rounds kept of every row, at most 4096; 0 switches the history off. Default 64.
    pub rounds: usize,
    /// Memory it may take, MiB; fewer rounds are kept where they do not fit, at least 2. Default 32.
    pub budget_mib: usize,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { rounds: 64, budget_mib: 32 }
    }
}

/// Which rows of a larger cluster this one's are: their controllers are built as those were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excerpt {
    /// What the first row is there.
    pub first_row: usize,
    /// How many rows there are there.
    pub of_rows: usize,
}

/// All settings of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    /// The cluster's name: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// Controllers, one row each: 1 to 65536.
    pub rows: usize,
    /// The rows are some of a larger cluster's, and their controllers cannot tell: what replays a recorded row builds
    /// that row alone. Default: they are all there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
    /// The robot: inline, or a file (`robot_file`). Default: a robot of no joints.
    #[serde(default = "no_robot")]
    pub robot: RobotSpec,
    /// URDF, MJCF or TOML file of the robot; instead of `robot`.
    #[serde(default)]
    pub robot_file: Option<PathBuf>,
    /// Time step of the simulator, s. Default 0.001.
    #[serde(default = "default_control_dt")]
    pub control_dt: f64,
    /// Time between two rounds, s, a whole multiple of `control_dt`. Default 0.01.
    #[serde(default = "default_cluster_dt")]
    pub cluster_dt: f64,
    /// Element type of state and command, `f32` or `f64`. Default `f32`.
    #[serde(default)]
    pub real: Real,
    /// Further fields of the state (a height map, say).
    #[serde(default)]
    pub state_extras: Vec<Field>,
    /// What a failed or dead row commands: `hold`, `homing`, `zero` or `safe`. Default `hold`.
    #[serde(default)]
    pub policy: Policy,
    /// Fail a row whose state or refs hold NaN or infinity before its controller sees them. Default true.
    #[serde(default = "yes")]
    pub check_inputs: bool,
    /// How long a waiter spins before it sleeps, µs. Default: 200 where a core is left for the client beside
    /// the workers, else 0. Pre-emption switches spinning off for a while whatever is set here.
    #[serde(default)]
    pub spin_us: Option<u64>,
    /// Limit for starting all controllers, s. Default 60.
    #[serde(default = "default_start_timeout")]
    pub start_timeout: f64,
    /// Limit for a whole `solve()` without a deadline, s. Default 30.
    #[serde(default = "default_round_timeout")]
    pub round_timeout: f64,
    /// A worker that turns to no new row for so long while it owes an answer is killed and replaced, s;
    /// 0 never. Default 0.
    #[serde(default)]
    pub hang_timeout: f64,
    /// Replace workers that died. Default true.
    #[serde(default = "yes")]
    pub respawn: bool,
    /// Whether an operator may hold the client back and let it do single rounds. Not for robots that must not wait.
    /// Default true.
    #[serde(default = "yes")]
    pub operator_may_hold: bool,
    /// Where the workers run.
    #[serde(default)]
    pub cpu: CpuConfig,
    /// What observers can look back at.
    #[serde(default)]
    pub history: HistoryConfig,
    /// Environment variables for the workers. `OMP_NUM_THREADS`, `MKL_NUM_THREADS` and
    /// `OPENBLAS_NUM_THREADS` are 1 unless set here.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The controller's own parameters, checked by it.
    #[serde(default)]
    pub params: toml::Table,
}

fn no_robot() -> RobotSpec {
    RobotSpec::new("robot", Vec::<String>::new()).expect("a robot of no joints is valid")
}

fn default_control_dt() -> f64 {
    0.001
}

fn default_cluster_dt() -> f64 {
    0.01
}

fn default_start_timeout() -> f64 {
    60.0
}

fn default_round_timeout() -> f64 {
    30.0
}

fn yes() -> bool {
    true
}

impl ClusterConfig {
    /// Defaults for `rows` controllers of a robot; set the fields that differ.
    pub fn new(name: &str, rows: usize, robot: RobotSpec) -> Self {
        Self {
            name: name.into(),
            rows,
            excerpt: None,
            robot,
            robot_file: None,
            control_dt: default_control_dt(),
            cluster_dt: default_cluster_dt(),
            real: Real::default(),
            state_extras: Vec::new(),
            policy: Policy::default(),
            check_inputs: true,
            spin_us: None,
            start_timeout: default_start_timeout(),
            round_timeout: default_round_timeout(),
            hang_timeout: 0.0,
            respawn: true,
            operator_may_hold: true,
            cpu: CpuConfig::default(),
            history: HistoryConfig::default(),
            env: BTreeMap::new(),
            params: toml::Table::new(),
        }
    }

    /// Reads a TOML file. `robot_file` is relative to it.
    pub fn from_toml_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::File {
            op: "read",
            path: path.into(),
            source,
        })?;
        let mut config =
            Self::from_toml(&text).map_err(|e| Error::Config(format!("{}: {e}", path.display())))?;
        if let Some(file) = &config.robot_file {
            config.robot_file = Some(path.parent().unwrap_or(Path::new(".")).join(file));
        }
        Ok(config)
    }

    /// Reads TOML text. Nothing is opened: `robot_file` is read by [`ClusterConfig::resolve`].
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| Error::Config(e.to_string()))
    }

    /// With one of the controller's parameters.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<toml::Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// Reads the robot's file, if one is named, and checks everything.
    pub fn resolve(mut self) -> Result<Self> {
        if let Some(file) = self.robot_file.take() {
            if !self.robot.joints.is_empty() {
                return Err(Error::Config("both `robot` and `robot_file` are given: choose one".into()));
            }
            self.robot = RobotSpec::from_file(&file)?;
        }
        self.check()?;
        Ok(self)
    }

    fn check(&self) -> Result<()> {
        ArenaName::new(&self.name)?;
        self.robot.validate()?;
        Rates::new(self.control_dt, self.cluster_dt)?;
        let bad = |why: String| Err(Error::Config(why));
        if !(1..=65536).contains(&self.rows) {
            return bad(format!("rows = {}: use 1 to 65536", self.rows));
        }
        if let Some(Excerpt { first_row, of_rows }) = self.excerpt
            && (of_rows > 65536 || first_row > of_rows || self.rows > of_rows - first_row)
        {
            return bad(format!(
                "excerpt: rows {first_row} to {} of {of_rows}: use rows that there are, of at most 65536",
                first_row.saturating_add(self.rows) - 1
            ));
        }
        if self.history.rounds > 4096 {
            return bad(format!("history.rounds = {}: use 0 to 4096", self.history.rounds));
        }
        for (name, value, least) in [
            ("start_timeout", self.start_timeout, 0.001),
            ("round_timeout", self.round_timeout, 1e-6),
            ("hang_timeout", self.hang_timeout, 0.0),
        ] {
            if !(least..=1e6).contains(&value) {
                return bad(format!("{name} = {value}: use {least} to 1000000 (seconds)"));
            }
        }
        // Workers get the settings as JSON, which knows no such numbers.
        for (name, value) in &self.params {
            let odd =
                |value: &toml::Value| matches!(value, toml::Value::Float(number) if !number.is_finite());
            if let Some((at, number)) = params::first(value, &odd) {
                return bad(format!(
                    "params: {name}{at} is {number}; it must be a finite number: leave it out, or use the controller's \
                     own word where it is to have none (`phalanx controllers NAME` shows them)"
                ));
            }
        }
        if self.spin_us.is_some_and(|us| us > 10_000_000) {
            return bad("spin_us: at most 10000000 (10 s)".into());
        }
        Ok(())
    }

    /// What controllers are built from: the cluster that theirs is an excerpt of.
    pub(crate) fn as_controllers_see_it(&self) -> Self {
        let mut config = self.clone();
        if let Some(excerpt) = config.excerpt.take() {
            config.rows = excerpt.of_rows;
        }
        config
    }

    /// The limit of a whole `solve()`.
    pub fn round_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.round_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_and_builder_fill_the_same_struct() {
        let robot = RobotSpec::new("robot", Vec::<String>::new()).unwrap();
        let built = ClusterConfig::new("x", 3, robot).param("gain", 2.0);
        let text = "name = 'x'\nrows = 3\n[params]\ngain = 2.0";
        assert_eq!(ClusterConfig::from_toml(text).unwrap(), built);
        let again = toml::to_string(&built).unwrap();
        assert_eq!(ClusterConfig::from_toml(&again).unwrap(), built);
        assert!(built.resolve().is_ok());
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        for (text, key) in [
            ("name = 'x'\nrows = 3\nspin = 4", "spin"),
            ("name = 'x'\nrows = 3\n[history]\nround = 4", "round"),
            ("name = 'x'\nrows = 3\n[cpu]\nworker = 4", "worker"),
        ] {
            let error = ClusterConfig::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn parameters_that_are_no_finite_numbers_are_refused_by_name() {
        for (text, says) in [
            ("u_max = inf", "u_max is inf; it must be a finite number"),
            ("x_max = [1.0, -inf]", "x_max[1] is -inf"),
            ("weights = { position = [0.0, [nan]] }", "weights.position[1][0] is nan"),
        ] {
            let text = format!("name = 'x'\nrows = 3\n[params]\n{text}");
            let error = ClusterConfig::from_toml(&text).unwrap().resolve().unwrap_err().to_string();
            assert!(error.contains(&format!("params: {says}")) && error.contains("leave it out"), "{error}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        let good = ClusterConfig::new("x", 3, no_robot());
        for (change, name) in [
            (&(|c: &mut ClusterConfig| c.rows = 0) as &dyn Fn(&mut ClusterConfig), "rows"),
            (&|c| c.round_timeout = f64::NAN, "round_timeout"),
            (&|c| c.start_timeout = 0.0, "start_timeout"),
            (&|c| c.hang_timeout = -1.0, "hang_timeout"),
            (&|c| c.history.rounds = 5000, "history.rounds"),
            (&|c| c.cluster_dt = 0.0015, "cluster_dt"),
            (&|c| c.excerpt = Some(Excerpt { first_row: 8, of_rows: 10 }), "rows 8 to 10 of 10"),
            (&|c| c.excerpt = Some(Excerpt { first_row: usize::MAX, of_rows: 10 }), "excerpt"),
            (&|c| c.name = "a/b".into(), "a/b"),
        ] {
            let mut config = good.clone();
            change(&mut config);
            let error = config.resolve().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
