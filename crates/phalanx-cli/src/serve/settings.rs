//! A cluster's settings from the command line: the file first, then the flags, each over what was before.

use super::Args;
use crate::fail::Failure;
use phalanx::{ClusterConfig, Policy, Real, robot::RobotSpec};
use std::path::Path;

/// All settings, and whether the robot is the builtin one.
pub fn settings(args: &Args, controller: &str) -> Result<(ClusterConfig, bool), Failure> {
    let mut table = match &args.config {
        Some(path) => read(path)?,
        None => toml::Table::new(),
    };
    let text = |text: &str| toml::Value::String(text.into());
    if let Some(name) = &args.name {
        table.insert("name".into(), text(name));
    }
    table.entry("name").or_insert_with(|| text(controller));
    if let Some(rows) = args.rows {
        table.insert("rows".into(), toml::Value::Integer(rows as i64));
    }
    if !table.contains_key("rows") {
        return Err(Failure::usage("how many rows? Give -n ROWS (or `rows` in the --config file)"));
    }
    let builtin = args.robot.is_none() && !table.contains_key("robot") && !table.contains_key("robot_file");
    let mut config: ClusterConfig = table.try_into().map_err(|e: toml::de::Error| {
        let file = args.config.as_ref().map_or("the settings".into(), |p| p.display().to_string());
        Failure::usage(format_args!("{file}: {}", e.message()))
    })?;
    if let (Some(file), Some(path)) = (&config.robot_file, &args.config) {
        config.robot_file = Some(path.parent().unwrap_or(Path::new(".")).join(file));
    }
    if builtin {
        config.robot = quadruped();
    }
    overlay(&mut config, args)?;
    Ok((config.resolve()?, builtin))
}

fn read(path: &Path) -> Result<toml::Table, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format_args!("cannot read {}: {e}", path.display())))?;
    toml::from_str(&text)
        .map_err(|e| Failure::usage(format_args!("{}: {}", path.display(), e.to_string().trim_end())))
}

fn overlay(config: &mut ClusterConfig, args: &Args) -> Result<(), Failure> {
    fn set<T: Clone>(setting: &mut T, flag: &Option<T>) {
        if let Some(value) = flag {
            setting.clone_from(value);
        }
    }
    if let Some(robot) = &args.robot {
        config.robot = RobotSpec::from_file(robot).map_err(phalanx::Error::from)?;
        config.robot_file = None;
    }
    if args.workers.is_some() {
        config.cpu.workers = args.workers;
    }
    if args.spin_us.is_some() {
        config.spin_us = args.spin_us;
    }
    set(&mut config.cpu.threads, &args.threads);
    set(&mut config.cpu.reserve, &args.reserve);
    set(&mut config.cpu.cores, &args.cores);
    config.cpu.pin |= args.pin;
    set(&mut config.policy, &args.policy.map(Policy::from));
    set(&mut config.real, &args.real.map(Real::from));
    set(&mut config.control_dt, &args.control_dt);
    set(&mut config.cluster_dt, &args.cluster_dt);
    set(&mut config.history.rounds, &args.history);
    set(&mut config.start_timeout, &args.start_timeout);
    for param in &args.param {
        set_parameter(&mut config.params, param)?;
    }
    Ok(())
}

/// Sets `key=value` among parameters; `table.key=value` in a table of them.
pub fn set_parameter(params: &mut toml::Table, text: &str) -> Result<(), Failure> {
    let (path, value) = parameter(text)?;
    let (tables, name) = path.rsplit_once('.').map_or((None, &path[..]), |(t, name)| (Some(t), name));
    let mut within = params;
    for table in tables.into_iter().flat_map(|tables| tables.split('.')) {
        let entry = within.entry(table).or_insert_with(|| toml::Table::new().into());
        within = entry.as_table_mut().ok_or_else(|| {
            Failure::usage(format_args!("--param {text:?}: {table} is set to a value, and is no table"))
        })?;
    }
    within.insert(name.into(), value);
    Ok(())
}

/// `key=value`, the value as in TOML; what TOML cannot read is a text.
fn parameter(text: &str) -> Result<(String, toml::Value), Failure> {
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.trim().is_empty()) else {
        return Err(Failure::usage(format_args!("--param {text:?}: write key=value")));
    };
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}")).ok();
    let parsed = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    Ok((name.trim().into(), parsed.unwrap_or_else(|| toml::Value::String(value.into()))))
}

/// Where no robot is given: one that can walk, so that trying out needs no file.
pub fn quadruped() -> RobotSpec {
    RobotSpec::from_mjcf_str(phalanx_quadruped_srbd::ROBOT)
        .and_then(|robot| robot.with_contacts(["FL", "FR", "RL", "RR"]))
        .expect("the builtin robot is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_toml_or_text() {
        let value = |text| parameter(text).unwrap().1;
        assert_eq!(value("a=1"), toml::Value::Integer(1));
        assert_eq!(value("a=1.5"), toml::Value::Float(1.5));
        assert_eq!(value("a=true"), toml::Value::Boolean(true));
        assert_eq!(value("a=[1, 2]").as_array().unwrap().len(), 2);
        assert_eq!(value("a={b = 1}")["b"], toml::Value::Integer(1));
        assert_eq!(value("a=trot"), toml::Value::String("trot".into()));
        assert_eq!(value("a=b=c"), toml::Value::String("b=c".into()));
        assert_eq!(value("a=1\nb = 2"), toml::Value::String("1\nb = 2".into()));
        assert!(parameter("novalue").is_err() && parameter("=1").is_err());
    }

    #[test]
    fn a_dot_leads_into_a_table() {
        let mut params: toml::Table = toml::from_str("speed = 1\nweights = { force = 1 }").unwrap();
        for text in ["weights.position=[1, 2]", "leg.reach=0.9", "weights.force=2", "speed=3"] {
            set_parameter(&mut params, text).unwrap();
        }
        let all = "speed = 3\nleg.reach = 0.9\nweights = { force = 2, position = [1, 2] }";
        assert_eq!(params, toml::from_str(all).unwrap());
        assert!(set_parameter(&mut params, "speed.low=1").is_err());
    }

    #[test]
    fn the_builtin_robot_is_valid() {
        let robot = quadruped();
        robot.validate().unwrap();
        assert_eq!((robot.joints.len(), robot.contacts.len()), (12, 4));
        assert_eq!(robot.joints[4].name, "FR_thigh");
    }
}
