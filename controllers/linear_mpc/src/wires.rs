//! Which columns of the cluster's fields the model's states and inputs are.

use phalanx::{Element, Error, Field, Group, Handle, Inputs, Outputs, Result, Setup};

/// An element of a field.
#[derive(Clone, Copy, Debug)]
struct Column<T> {
    field: Handle<T>,
    at: usize,
}

/// Everything that is read or written, in the cluster's precision.
#[derive(Debug)]
pub struct Wires<T> {
    states: Vec<Column<T>>,
    inputs: Vec<Column<T>>,
    x_ref: Handle<T>,
    u_ref: Handle<T>,
    time: Handle<T>,
    /// States and inputs whose field is predicted as well: which one, where, and how wide a node of it is.
    state_courses: Vec<(usize, Column<T>, usize)>,
    input_courses: Vec<(usize, Column<T>, usize)>,
}

impl<T: Element> Wires<T> {
    /// Finds them.
    pub fn of(setup: &Setup, states: &[String], inputs: &[String]) -> Result<Self> {
        let courses = |names: &[String], group: Group| -> Result<Vec<(usize, Column<T>, usize)>> {
            let mut all = Vec::new();
            for (i, name) in names.iter().enumerate() {
                let (field, at) = find(setup, group, "", name)?;
                let Ok(predicted) = setup.schema.record(Group::Prediction)?.field(&field.name) else {
                    continue;
                };
                let column = Column { field: setup.prediction(&field.name)?, at };
                all.push((i, column, predicted.shape[1..].iter().product()));
            }
            Ok(all)
        };
        Ok(Self {
            states: columns(setup, Group::State, "states", states)?,
            inputs: columns(setup, Group::Cmd, "inputs", inputs)?,
            x_ref: setup.refs("x_ref")?,
            u_ref: setup.refs("u_ref")?,
            time: setup.prediction("time")?,
            state_courses: courses(states, Group::State)?,
            input_courses: courses(inputs, Group::Cmd)?,
        })
    }

    /// Reads a row: the state, and the references for states and inputs.
    pub fn read(&self, inputs: &Inputs<'_>, x: &mut [f64], x_ref: &mut [f64], u_ref: &mut [f64]) {
        for (to, column) in x.iter_mut().zip(&self.states) {
            *to = inputs.get(column.field)[column.at].to_f64();
        }
        for (to, field) in [(x_ref, self.x_ref), (u_ref, self.u_ref)] {
            for (to, from) in to.iter_mut().zip(inputs.get(field)) {
                *to = from.to_f64();
            }
        }
    }

    /// Writes a row: the first inputs as its command, the whole course as its prediction.
    pub fn write(&self, outputs: &mut Outputs<'_>, inputs: &[f64], states: &[f64], dt: f64) {
        let (nx, nu) = (self.states.len(), self.inputs.len());
        for (column, value) in self.inputs.iter().zip(inputs) {
            outputs.get(column.field)[column.at] = T::from_f64(*value);
        }
        for (k, time) in outputs.get(self.time).iter_mut().enumerate() {
            *time = T::from_f64(k as f64 * dt);
        }
        for (courses, values, n) in [(&self.state_courses, states, nx), (&self.input_courses, inputs, nu)] {
            for &(i, column, width) in courses {
                let course = outputs.get(column.field);
                for (k, node) in values.chunks_exact(n).enumerate() {
                    course[k * width + column.at] = T::from_f64(node[i]);
                }
            }
        }
    }
}

fn columns<T: Element>(setup: &Setup, group: Group, param: &str, names: &[String]) -> Result<Vec<Column<T>>> {
    let mut all = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let (field, at) = find(setup, group, &format!("params: {param}[{i}]: "), name)?;
        all.push(Column { field: setup.schema.record(group)?.handle(&field.name)?, at });
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
