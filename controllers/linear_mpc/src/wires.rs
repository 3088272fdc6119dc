//! Which columns of the cluster's fields the model's states and inputs are.

use phalanx::{Error, Field, Group, Inputs, Meant, Outputs, Result, Setup, Wire};

/// An element of a field.
#[derive(Clone, Copy, Debug)]
struct Column {
    field: Wire,
    at: usize,
}

/// Everything that is read or written.
#[derive(Debug)]
pub struct Wires {
    states: Vec<Column>,
    inputs: Vec<Column>,
    x_ref: (Wire, Meant),
    u_ref: (Wire, Meant),
    time: Wire,
    /// States and inputs whose field is predicted as well: which one, where, and how wide a node of it is.
    state_courses: Vec<(usize, Column, usize)>,
    input_courses: Vec<(usize, Column, usize)>,
}

impl Wires {
    /// Finds them.
    pub fn of(setup: &Setup, states: &[String], inputs: &[String]) -> Result<Self> {
        let courses = |names: &[String], group: Group| -> Result<Vec<(usize, Column, usize)>> {
            let mut all = Vec::new();
            for (i, name) in names.iter().enumerate() {
                let (field, at) = find(setup, group, "", name)?;
                let Ok(predicted) = setup.schema.record(Group::Prediction)?.field(&field.name) else {
                    continue;
                };
                let column = Column { field: Wire::prediction(setup, &field.name)?, at };
                all.push((i, column, predicted.shape[1..].iter().product()));
            }
            Ok(all)
        };
        Ok(Self {
            states: columns(setup, Group::State, "states", states)?,
            inputs: columns(setup, Group::Cmd, "inputs", inputs)?,
            x_ref: (Wire::refs(setup, "x_ref")?, setup.meant("x_ref")?),
            u_ref: (Wire::refs(setup, "u_ref")?, setup.meant("u_ref")?),
            time: Wire::prediction(setup, "time")?,
            state_courses: courses(states, Group::State)?,
            input_courses: courses(inputs, Group::Cmd)?,
        })
    }

    /// Reads a row: the state, and the references for states and inputs; 0 where they are not meant.
    pub fn read(&self, inputs: &Inputs<'_>, x: &mut [f64], x_ref: &mut [f64], u_ref: &mut [f64]) {
        for (to, column) in x.iter_mut().zip(&self.states) {
            *to = column.field.get(inputs, column.at);
        }
        for ((wire, meant), into) in [(self.x_ref, x_ref), (self.u_ref, u_ref)] {
            match inputs.means(meant) {
                true => wire.read_into(inputs, 0, into),
                false => into.fill(0.0),
            }
        }
    }

    /// Writes a row: the first inputs as its command, the whole course as its prediction.
    pub fn write(&self, outputs: &mut Outputs<'_>, inputs: &[f64], states: &[f64], dt: f64) {
        let (nx, nu) = (self.states.len(), self.inputs.len());
        for (column, value) in self.inputs.iter().zip(inputs) {
            column.field.write(outputs, column.at, &[*value]);
        }
        let nodes = self.time.len();
        self.time.write_each(outputs, 0, 1, (0..nodes).map(|k| k as f64 * dt));
        for (courses, values, n) in [(&self.state_courses, states, nx), (&self.input_courses, inputs, nu)] {
            for &(i, column, width) in courses {
                column.field.write_each(
                    outputs,
                    column.at,
                    width,
                    values.chunks_exact(n).map(|node| node[i]),
                );
            }
        }
    }
}

fn columns(setup: &Setup, group: Group, param: &str, names: &[String]) -> Result<Vec<Column>> {
    let mut all = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let (field, at) = find(setup, group, &format!("params: {param}[{i}]: "), name)?;
        all.push(Column { field: Wire::to(setup, group, &field.name)?, at });
    }
    Ok(all)
}

/// A field's element by its name: `field`, `field[2]`, `field.label`.
fn find<'a>(setup: &'a Setup, group: Group, prefix: &str, name: &str) -> Result<(&'a Field, usize)> {
    let fail = |what: String| Error::Config(format!("{prefix}{name}: {what}"));
    let (field, element) = match name.split_once(['.', '[']) {
        Some((field, element)) => (field, Some(element)),
        None => (name, None),
    };
    let record = setup.schema.record(group)?;
    let Ok(field) = record.field(field) else {
        let known: Vec<_> = record.fields.iter().map(|f| f.name.as_str()).collect();
        return Err(fail(format!("no such field of the {group}; it has {}", known.join(", "))));
    };
    let Some(element) = element else {
        return match field.len() {
            1 => Ok((field, 0)),
            len => Err(fail(format!("it has {len} elements: say which, as in {}[0]", field.name))),
        };
    };
    if let Some(number) = element.strip_suffix(']').filter(|_| name[field.name.len()..].starts_with('[')) {
        return match number.parse() {
            Ok(at) if at < field.len() => Ok((field, at)),
            _ => Err(fail(format!("it has elements 0 to {}", field.len().saturating_sub(1)))),
        };
    }
    // A label names an element of fields that have one dimension.
    let labels = if field.shape.len() == 1 { &field.labels[..] } else { &[] };
    match labels.iter().position(|label| label == element) {
        Some(at) => Ok((field, at)),
        None if labels.is_empty() => Err(fail(format!("its elements have numbers, as in {}[0]", field.name))),
        None => Err(fail(format!("no such element; there are {}", labels.join(", ")))),
    }
}
