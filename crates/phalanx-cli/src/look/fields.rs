//! `phalanx fields`

use crate::{
    fail::{Done, Failure},
    out::{Colour, Out, short, wrapped},
};
use phalanx::{Field, Observer, layout::Manifest, robot::RobotSpec, schema::Record};
use serde_json::{Value, json};
use std::{io::Write, process::ExitCode};

/// Shows what a cluster's rows consist of: names, types, units, frames
///
/// The conventions come first: the order of joints, contacts and quaternions that client and controllers
/// agreed on.
#[derive(clap::Args)]
#[command(after_help = "EXAMPLE
  phalanx fields go1
  phalanx fields go1 cmd
  phalanx fields go1 cmd.joint_effort --json")]
pub struct Args {
    /// The cluster
    name: String,
    /// Only this structure (state, refs, cmd, status, prediction) or field
    path: Option<String>,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    let observer = Observer::attach(&args.name)?;
    let manifest = observer.manifest();
    let chosen = choose(manifest, args.path.as_deref())?;
    if out.json {
        out.value(&as_json(manifest, &chosen))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.path.is_none() {
        conventions(&args.name, manifest, out)?;
    }
    for (record, fields) in &chosen {
        structure(record, fields, &manifest.config.robot, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

type Chosen<'a> = Vec<(&'a Record, Vec<&'a Field>)>;

fn choose<'a>(manifest: &'a Manifest, path: Option<&str>) -> Result<Chosen<'a>, Failure> {
    let whole = |record: &'a Record| (record, record.fields.iter().collect());
    let records = manifest.schema.records.iter();
    let Some(path) = path else { return Ok(records.map(whole).collect()) };
    if let Some(record) = records.clone().find(|r| r.group.to_string() == path) {
        return Ok(vec![whole(record)]);
    }
    let (record, field) = manifest.schema.find(path)?;
    Ok(vec![(record, vec![field])])
}

fn as_json(manifest: &Manifest, chosen: &Chosen<'_>) -> Value {
    let config = &manifest.config;
    let structures = chosen.iter().map(|(record, fields)| {
        json!({
            "structure": record.group.structure(), "group": record.group, "writer": record.group.writer(),
            "row_bytes": record.stride, "fields": fields,
        })
    });
    json!({
        "name": config.name, "controller": manifest.controller, "rows": config.rows,
        "robot": config.robot, "control_dt": config.control_dt, "cluster_dt": config.cluster_dt,
        "structures": structures.collect::<Vec<_>>(),
    })
}

fn conventions(name: &str, manifest: &Manifest, out: &mut Out) -> std::io::Result<()> {
    let (config, robot) = (&manifest.config, &manifest.config.robot);
    let joints: Vec<_> = robot.joint_names().collect();
    let steps = (config.cluster_dt / config.control_dt).round();
    let quat = serde_json::to_value(robot.quat_order).ok().and_then(|v| v.as_str().map(str::to_owned));
    for (label, text) in [
        ("cluster", format!("{name}, {} rows of {}", config.rows, manifest.controller)),
        ("robot", robot.name.clone()),
        ("quaternion", format!("order {}", quat.unwrap_or_default())),
        ("joints", joints.join(" ")),
        ("contacts", robot.contacts.join(" ")),
        (
            "rates",
            format!(
                "control_dt {} s, cluster_dt {} s: a round every {steps} control steps",
                config.control_dt, config.cluster_dt
            ),
        ),
    ] {
        let text = if text.is_empty() { "none".into() } else { text };
        hang(out, &format!("{label:<10}  "), Some(Colour::Dim), &text)?;
    }
    Ok(())
}

fn structure(record: &Record, fields: &[&Field], robot: &RobotSpec, out: &mut Out) -> std::io::Result<()> {
    let group = record.group;
    let title = out.paint(Colour::Bold, group.structure());
    writeln!(out, "\n{title} ({group}), {} bytes a row", record.stride)?;
    let writer = format!("written by the {}", group.writer());
    hang(out, "  ", None, &writer)?;
    let name_width = record.fields.iter().map(|f| f.name.len()).max().unwrap_or(0);
    let type_width = record.fields.iter().map(|f| type_of(f).len()).max().unwrap_or(0);
    for field in fields {
        let head = format!("  {:<name_width$}  {:<type_width$}  ", field.name, type_of(field));
        hang(out, &head, Some(Colour::Cyan), &about(field, robot))?;
    }
    Ok(())
}

/// Text in its own column beside a head.
pub fn hang(out: &mut Out, head: &str, colour: Option<Colour>, text: &str) -> std::io::Result<()> {
    let indent = head.chars().count();
    let mut head = colour.map_or_else(|| head.to_owned(), |colour| out.paint(colour, head));
    for line in wrapped(text, out.width().saturating_sub(indent).max(20)) {
        writeln!(out, "{}", format!("{head}{line}").trim_end())?;
        head = " ".repeat(indent);
    }
    Ok(())
}

pub fn type_of(field: &Field) -> String {
    let shape: Vec<_> = field.shape.iter().map(ToString::to_string).collect();
    if shape.is_empty() { field.dtype.to_string() } else { format!("{}[{}]", field.dtype, shape.join(",")) }
}

/// Unit, frame, doc, labels and default; labels that the conventions list already go by their kind.
pub fn about(field: &Field, robot: &RobotSpec) -> String {
    let mut text = field.doc.clone();
    if !field.unit.is_empty() {
        text = format!("[{}] {text}", field.unit);
    }
    if !field.frame.is_empty() {
        text += &format!("; frame {}", field.frame);
    }
    let is_joints = field.labels.iter().map(String::as_str).eq(robot.joint_names());
    match &field.labels[..] {
        [] => {}
        _ if is_joints => text += "; per joint",
        labels if labels == robot.contacts => text += "; per contact",
        labels => text += &format!("; of {}", labels.join(" ")),
    }
    if field.default.iter().any(|&v| v != 0.0) {
        let values: Vec<_> = field.default.iter().map(|&v| short(v)).collect();
        text += &format!("; default {}", values.join(" "));
    }
    text
}
