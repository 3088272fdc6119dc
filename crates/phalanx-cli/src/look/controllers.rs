//! `phalanx controllers`

use super::fields::{about, hang, type_of};
use crate::{
    fail::Done,
    out::{Colour, Out},
    serve::{controllers, settings},
    table::Table,
};
use phalanx::{ClusterConfig, Description, params::Parameter, robot::RobotSpec};
use serde_json::json;
use std::{io::Write, path::PathBuf, process::ExitCode};

/// Lists the controllers there are, or shows one's references and parameters
///
/// Without a name: those that come with this program, and programs phalanx-NAME on PATH. With one: what it follows
/// (refs, which the simulator or a policy writes), what can be set (--param, or `params` in a file), with units,
/// defaults and ranges.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx controllers
  phalanx controllers quadruped_srbd
  phalanx controllers my_pkg.my_mpc:MyMpc --robot go1.xml --json")]
pub struct Args {
    /// Which one, as for `serve`
    name: Option<String>,
    /// URDF, MJCF or TOML file of the robot it is for [default: a builtin quadruped of 12 joints and 4 feet]
    #[arg(long, value_name = "FILE")]
    robot: Option<PathBuf>,
    /// A parameter that others depend on (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    param: Vec<String>,
    /// The Python that hosts package.module:Class [default: the one this was installed with, else python3]
    #[arg(long, value_name = "PYTHON")]
    interpreter: Option<PathBuf>,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    match &args.name {
        None => list(out),
        Some(name) => {
            let controller = controllers::find(name, args.interpreter.as_deref())?;
            let robot = match &args.robot {
                Some(file) => RobotSpec::from_file(file).map_err(phalanx::Error::from)?,
                None => settings::quadruped(),
            };
            let mut config = ClusterConfig::new("described", 1, robot);
            for param in &args.param {
                settings::set_parameter(&mut config.params, param)?;
            }
            let description = controller.description(&config)?;
            // What was asked about a robot or parameters of the user's own is answered, or refused.
            let own = args.robot.is_some() || !args.param.is_empty();
            if let Some(why) = description.refused.as_ref().filter(|_| own) {
                return Err(phalanx::Error::Config(why.clone()).into());
            }
            if out.json {
                out.value(&json!({ "name": controller.name, "description": description }))?;
            } else {
                describe(&controller.name, &description, &config.robot, out)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn list(out: &mut Out) -> Done {
    let known = controllers::known();
    if out.json {
        let known = known.iter().map(|(name, what)| json!({ "name": name, "what": what }));
        out.value(&known.collect::<Vec<_>>())?;
    } else {
        let mut table = Table::new(["CONTROLLER", "WHAT"]);
        known.into_iter().for_each(|(name, what)| table.row(vec![name.into(), what.into()]));
        table.print(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(name: &str, told: &Description, robot: &RobotSpec, out: &mut Out) -> std::io::Result<()> {
    writeln!(out, "{}", out.paint(Colour::Bold, name))?;
    if let Some(dt) = told.dt {
        writeln!(out, "  written for cluster_dt = {dt} s")?;
    }
    if let Some(prediction) = &told.prediction {
        let terms = prediction.cost_terms.join(", ");
        let of = if terms.is_empty() { String::new() } else { format!("; cost terms {terms}") };
        hang(out, "  ", None, &format!("predicts {} nodes{of}", prediction.nodes))?;
    }
    let width = told.refs.iter().map(|f| f.name.len()).chain(told.params.iter().map(|p| p.name.len())).max();
    let width = width.unwrap_or(0);
    if !told.refs.is_empty() {
        writeln!(out, "\n{}, which the client or an operator writes", out.paint(Colour::Bold, "refs"))?;
        let kind = told.refs.iter().map(|f| type_of(f).len()).max().unwrap_or(0);
        for field in &told.refs {
            let head = format!("  {:<width$}  {:<kind$}  ", field.name, type_of(field));
            hang(out, &head, Some(Colour::Cyan), &about(field, robot))?;
        }
    }
    if !told.params.is_empty() {
        writeln!(out, "\n{}, set at start", out.paint(Colour::Bold, "params"))?;
        for parameter in &told.params {
            let head = format!("  {:<width$}  ", parameter.name);
            hang(out, &head, Some(Colour::Cyan), &words(parameter))?;
        }
    }
    if let Some(why) = &told.refused {
        let note = format!(
            "its refs depend on --robot and --param; with the builtin robot and no parameters: {why}"
        );
        writeln!(out)?;
        hang(out, "", None, &note)?;
    }
    Ok(())
}

fn words(parameter: &Parameter) -> String {
    let Parameter { unit, default, range, doc, .. } = parameter;
    let what = if unit.is_empty() { doc.clone() } else { format!("[{unit}] {doc}") };
    match (default.is_empty(), range.is_empty()) {
        (true, true) => what,
        (true, false) => format!("{what} Takes {range}."),
        (false, true) => format!("{what} Default {default}."),
        (false, false) => format!("{what} Default {default}; takes {range}."),
    }
}
