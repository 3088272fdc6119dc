//! Arrangements that many want, by the names of fields.

use super::{
    layout::{Node, Plot},
    tree::field,
};
use crate::data::{Curve, Operation, Pick};
use phalanx::{Field, Group, schema::Schema};

/// A ready arrangement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// What was asked of a quadruped against what it does.
    Tracking,
    /// How the solver does.
    Solver,
    /// Forces and heights at the contacts.
    Contacts,
    /// Commanded and measured joints of the first leg.
    Leg,
}

impl Preset {
    /// All of them.
    pub const ALL: [Preset; 4] = [Preset::Tracking, Preset::Solver, Preset::Contacts, Preset::Leg];

    /// As it is offered.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Tracking => "Quadruped: tracking",
            Preset::Solver => "Solver",
            Preset::Contacts => "Contacts",
            Preset::Leg => "Joints of one leg",
        }
    }

    /// Of these rows, as far as the schema has the fields; `None` where it has none of them.
    pub fn plots(self, schema: &Schema, rows: &[usize]) -> Option<Node> {
        let kit = Kit { schema, rows };
        let all = |_: &Field, _: usize| true;
        let leg = |field: &Field, n: usize| same_leg(field, n);
        let plots = match self {
            Preset::Tracking => vec![
                kit.plot("velocity", &[(Group::State, "root_lin_vel"), (Group::Refs, "lin_vel")], |_, n| {
                    n < 2
                }),
                kit.plot(
                    "turning",
                    &[(Group::State, "root_ang_vel"), (Group::Refs, "yaw_rate"), (Group::Refs, "ang_vel")],
                    |field, n| field.len() == 1 || n == 2,
                ),
                kit.plot("height", &[(Group::State, "root_pos"), (Group::Refs, "height")], |field, n| {
                    field.len() == 1 || n == 2
                }),
                kit.orientation("roll and pitch"),
            ],
            Preset::Solver => vec![
                kit.plot("solve time", &[(Group::Status, "solve_us")], all),
                kit.plot("cost", &[(Group::Status, "cost")], all),
                kit.plot("constraint violation", &[(Group::Status, "violation")], all),
                kit.plot("iterations", &[(Group::Status, "iterations")], all),
            ],
            Preset::Contacts => vec![
                kit.plot("vertical forces, measured", &[(Group::State, "contact_force")], |_, n| n % 3 == 2),
                kit.plot("vertical forces, planned", &[(Group::Cmd, "contact_force")], |_, n| n % 3 == 2),
                kit.plot("heights of the contacts", &[(Group::State, "contact_pos")], |_, n| n % 3 == 2),
            ],
            Preset::Leg => vec![
                kit.plot("positions", &[(Group::State, "joint_q"), (Group::Cmd, "joint_q")], leg),
                kit.plot("velocities", &[(Group::State, "joint_v"), (Group::Cmd, "joint_v")], leg),
                kit.plot("efforts", &[(Group::State, "joint_effort"), (Group::Cmd, "joint_effort")], leg),
            ],
        };
        let plots: Vec<_> = plots.into_iter().filter(|plot| !plot.lines.is_empty()).collect();
        let nodes = plots.into_iter().map(|plot| (1.0, Node::plot(plot)));
        let mut nodes: Vec<_> = nodes.collect();
        match nodes.len() {
            0 => None,
            1 => nodes.pop().map(|(_, node)| node),
            2 | 3 => Some(Node::Column(nodes)),
            _ => Some(Node::Grid(nodes.into_iter().map(|(_, node)| node).collect())),
        }
    }
}

/// Whether an element belongs to the leg of the first: joints of a leg share the begin of their names.
fn same_leg(field: &Field, n: usize) -> bool {
    let leg = |n: usize| field.labels.get(n).and_then(|label| label.split(['_', '-', '.']).next());
    match (leg(0), leg(n)) {
        (Some(first), Some(this)) if field.labels.iter().enumerate().any(|(i, _)| leg(i) != Some(first)) => {
            first == this
        }
        _ => n < 3,
    }
}

struct Kit<'a> {
    schema: &'a Schema,
    rows: &'a [usize],
}

impl Kit<'_> {
    fn plot(&self, title: &str, fields: &[(Group, &str)], which: impl Fn(&Field, usize) -> bool) -> Plot {
        let mut plot = Plot { title: title.into(), ..Plot::default() };
        for &(group, name) in fields {
            let Some(field) = field(self.schema, group, name) else { continue };
            for element in (0..field.len()).filter(|n| which(field, *n)) {
                let of = |row: &usize| Curve::Channel(Pick::new(group, name, element).of(*row));
                plot.add(self.rows.iter().map(of));
            }
        }
        plot
    }

    fn orientation(&self, title: &str) -> Plot {
        let mut plot = Plot { title: title.into(), ..Plot::default() };
        if field(self.schema, Group::State, "root_quat").is_some() {
            for (operation, row) in [Operation::Roll, Operation::Pitch]
                .into_iter()
                .flat_map(|o| self.rows.iter().map(move |r| (o, *r)))
            {
                let of = (0..4).map(|n| Pick::new(Group::State, "root_quat", n).of(row)).collect();
                plot.add([Curve::Derived(operation, of)]);
            }
        }
        plot
    }
}
