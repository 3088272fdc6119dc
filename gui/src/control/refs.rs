//! Refs by sliders: only what was touched is overridden.

use super::deck::Refs;
use crate::theme::{Theme, named};
use egui::{DragValue, RichText, Role, Slider, Ui};
use phalanx::{Dtype, Field, schema::Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The sliders' state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sliders {
    /// What was touched, all elements of a field; overridden while armed. Not kept: nothing is overridden at a start.
    #[serde(skip)]
    pub touched: Refs,
    /// Ranges other than the usual ones, by field.
    pub ranges: BTreeMap<String, [f64; 2]>,
}

/// A field's values where nobody says anything.
pub fn defaults(field: &Field) -> Vec<f64> {
    let each = |element: usize| match field.default[..] {
        [] => 0.0,
        [one] => one,
        ref all => all.get(element).copied().unwrap_or(0.0),
    };
    (0..field.len()).map(each).collect()
}

/// A range to slide in: by the unit, around the default. The controller has the last word on what it follows.
pub fn usual_range(field: &Field) -> [f64; 2] {
    let default = field.default.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
    let around = |reach: f64| [default - reach, default + reach];
    match field.unit.as_str() {
        _ if field.dtype == Dtype::Bool => [0.0, 1.0],
        _ if is_whole(field.dtype) => [default.min(0.0), default.max(0.0) + 5.0],
        "m/s" | "rad/s" | "m/s^2" => around(1.5),
        "rad" => around(0.5),
        "m" if default != 0.0 => [default * 0.5, default * 1.4],
        "m" => around(0.5),
        "kg" => [0.0, default.abs().max(5.0) * 2.0],
        "s" => [0.0, default.abs().max(0.5) * 2.0],
        _ if default == 0.0 || (0.0..=1.0).contains(&default) => [0.0, 1.0],
        _ => around(2.0 * default.abs()),
    }
}

fn is_whole(dtype: Dtype) -> bool {
    !matches!(dtype, Dtype::F32 | Dtype::F64 | Dtype::Bool)
}

impl Sliders {
    /// Draws them; `now` is what is followed at present.
    pub fn show(&mut self, ui: &mut Ui, refs: &Record, now: &Refs, theme: &Theme) {
        egui::Grid::new("sliders").num_columns(4).spacing([10.0, 4.0]).striped(true).show(ui, |ui| {
            for field in refs.fields.iter().filter(|field| field.name != "valid") {
                self.field(ui, field, now, theme);
            }
        });
    }

    fn field(&mut self, ui: &mut Ui, field: &Field, now: &Refs, theme: &Theme) {
        let touched = self.touched.contains_key(&field.name);
        let mut values = match self.touched.get(&field.name).or_else(|| now.get(&field.name)) {
            Some(values) if values.len() == field.len() => values.clone(),
            _ => defaults(field),
        };
        let [mut least, mut most] = self.range(field);
        let mut changed = false;
        for (element, number) in values.iter_mut().enumerate() {
            let label = format!("{}{}", field.name, field.element_suffix(element));
            let text = RichText::new(&label).color(if touched { theme.warning() } else { theme.text() });
            ui.label(text).on_hover_text(format!("{}\n{} {}", field.doc, field.unit, field.frame));
            changed |= value(ui, field, &label, number, [least, most]);
            if element > 0 {
                ui.label("");
                ui.label("");
                ui.end_row();
                continue;
            }
            if field.dtype == Dtype::Bool {
                ui.label("");
            } else {
                self.bounds(ui, field, &mut least, &mut most);
            }
            if touched {
                let back = ui.small_button("give back").on_hover_text("the client's value again");
                named(&back, Role::Button, format!("give back {}", field.name));
                if back.clicked() {
                    self.touched.remove(&field.name);
                    changed = false;
                }
            } else {
                ui.label("");
            }
            ui.end_row();
        }
        if changed {
            self.touched.insert(field.name.clone(), values);
        }
    }

    fn range(&self, field: &Field) -> [f64; 2] {
        let usual = usual_range(field);
        let [least, most] = self.ranges.get(&field.name).copied().unwrap_or(usual);
        if least.is_finite() && most.is_finite() && least < most { [least, most] } else { usual }
    }

    /// The ends of the range, which can be changed.
    fn bounds(&mut self, ui: &mut Ui, field: &Field, least: &mut f64, most: &mut f64) {
        ui.horizontal(|ui| {
            let mut changed = false;
            for (end, which) in [(&mut *least, "from"), (&mut *most, "to")] {
                let drag = DragValue::new(end)
                    .speed(0.01)
                    .max_decimals(2)
                    .suffix(suffix(&field.unit))
                    .update_while_editing(false);
                let drag = ui.add(drag).on_hover_text("range of the slider");
                named(&drag, Role::SpinButton, format!("{} {which}", field.name));
                changed |= drag.changed();
            }
            if changed {
                self.ranges.insert(field.name.clone(), [*least, *most]);
            }
        });
    }
}

/// One element; true when it was changed.
fn value(ui: &mut Ui, field: &Field, label: &str, value: &mut f64, [least, most]: [f64; 2]) -> bool {
    if field.dtype == Dtype::Bool {
        let mut on = *value != 0.0;
        let check = ui.checkbox(&mut on, "");
        named(&check, Role::CheckBox, label);
        *value = f64::from(u8::from(on));
        return check.changed();
    }
    let whole = is_whole(field.dtype);
    ui.horizontal(|ui| {
        // The number beside the slider goes beyond its ends.
        let mut slid = value.clamp(least, most);
        let mut slider = Slider::new(&mut slid, least..=most).show_value(false);
        let mut number = DragValue::new(value).speed((most - least) * 2e-3).suffix(suffix(&field.unit));
        if whole {
            slider = slider.integer();
            number = number.speed(0.05).max_decimals(0);
        } else {
            number = number.max_decimals(3);
        }
        let slider = ui.add(slider);
        named(&slider, Role::Slider, label);
        let number = ui.add(number);
        named(&number, Role::SpinButton, format!("{label}, number"));
        if slider.changed() {
            *value = slid;
        }
        (slider.changed() || number.changed()) && value.is_finite()
    })
    .inner
}

fn suffix(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!(" {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_the_default() {
        for (unit, default) in [
            ("m/s", 0.0),
            ("m", 0.31),
            ("m", 0.0),
            ("rad", 0.1),
            ("kg", 0.0),
            ("s", 0.5),
            ("", 0.6),
            ("", 40.0),
            ("N", -3.0),
            ("kg", 30.0),
        ] {
            let field = Field::new("x", unit, "").default_values(&[default]);
            let [least, most] = usual_range(&field);
            assert!(least < most && (least..=most).contains(&default), "{default} {unit}: {least}..{most}");
        }
        let gait = Field::new("gait", "", "").dtype(Dtype::I32).default_values(&[1.0]);
        assert_eq!(usual_range(&gait), [0.0, 6.0]);
        let flags = Field::new("flags", "", "").shape(&[3]).default_values(&[1.0]);
        assert_eq!(defaults(&flags), [1.0; 3]);
    }
}
