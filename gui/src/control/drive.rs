//! Refs by keys and sticks: which key means what, and what it makes of the refs while it is held.

use super::deck::Refs;
use crate::control::gamepad::Pad;
use egui::Key;
use phalanx::schema::Record;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a held key or stick does to its ref.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Away from its default by the amount, as far as the stick is pushed; let go, it is back.
    #[default]
    Stick,
    /// On by the amount per second; let go, it stays.
    Nudge,
    /// The amount while held; let go, it is back.
    Press,
    /// The amount from now on.
    Choose,
}

/// A key, a stick or a button that changes an element of a ref.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Binding {
    /// The ref.
    pub field: String,
    /// Its element.
    pub element: usize,
    /// How it is changed.
    pub kind: Kind,
    /// By how much, or to what, in its unit.
    pub amount: f64,
    /// The key for more, or the only one.
    pub plus: Option<Key>,
    /// The key for less.
    pub minus: Option<Key>,
    /// The gamepad's axis.
    pub axis: Option<u8>,
    /// Whether that axis counts the other way round.
    pub inverted: bool,
    /// The gamepad's button, as the key for more.
    pub button: Option<u8>,
}

/// How refs are driven.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bindings {
    /// What does what.
    pub list: Vec<Binding>,
    /// Share of a stick's way that counts as rest.
    pub dead_zone: f32,
    /// The button that must be held for the gamepad to count at all.
    pub dead_man: u8,
}

/// The usual keys: WASD and QE drive, RF raise and lower, 7 9 1 3 lift feet as they stand on a number pad, N T B for
/// gaits. A stick's left is -1, and so is its forward.
impl Default for Bindings {
    fn default() -> Self {
        let stick = |field: &str, element, amount, keys: [Key; 2], axis| Binding {
            field: field.into(),
            element,
            kind: Kind::Stick,
            amount,
            plus: Some(keys[0]),
            minus: Some(keys[1]),
            axis: Some(axis),
            inverted: true,
            button: None,
        };
        let press = |element, key, button| Binding {
            field: "contact_flags".into(),
            element,
            kind: Kind::Press,
            amount: 0.0,
            plus: Some(key),
            button: Some(button),
            ..Binding::default()
        };
        let choose = |amount, key| Binding {
            field: "gait".into(),
            kind: Kind::Choose,
            amount,
            plus: Some(key),
            ..Binding::default()
        };
        let nudge = |field: &str, amount, keys: [Key; 2], axis| Binding {
            field: field.into(),
            kind: Kind::Nudge,
            amount,
            plus: Some(keys[0]),
            minus: Some(keys[1]),
            axis,
            inverted: true,
            ..Binding::default()
        };
        let list = vec![
            stick("lin_vel", 0, 0.5, [Key::W, Key::S], 1),
            stick("lin_vel", 1, 0.3, [Key::A, Key::D], 0),
            stick("yaw_rate", 0, 0.8, [Key::Q, Key::E], 3),
            stick("ang_vel", 2, 0.8, [Key::Q, Key::E], 3),
            nudge("base_height", 0.05, [Key::R, Key::F], Some(7)),
            nudge("phase", 0.25, [Key::L, Key::K], None),
            press(0, Key::Num7, 2),
            press(1, Key::Num9, 3),
            press(2, Key::Num1, 0),
            press(3, Key::Num3, 1),
            choose(0.0, Key::N),
            choose(1.0, Key::T),
            choose(4.0, Key::B),
        ];
        Self { list, dead_zone: 0.12, dead_man: 4 }
    }
}

impl Bindings {
    /// Those whose ref there is.
    pub fn known<'a>(&'a self, refs: &'a Record) -> impl Iterator<Item = &'a Binding> {
        self.list.iter().filter(|b| refs.field(&b.field).is_ok_and(|field| b.element < field.len()))
    }
}

/// What is pressed and pushed at a moment.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// Keys that are down; none where the pad has not the focus.
    pub keys: BTreeSet<Key>,
    /// The gamepad; `None` also while its dead-man button is up.
    pub pad: Option<Pad>,
}

/// What keys and sticks have made of the refs so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Driven {
    /// By field and element.
    values: BTreeMap<(String, usize), f64>,
    /// Elements that are pressed or pushed now.
    moving: BTreeSet<(String, usize)>,
}

impl Driven {
    /// Takes what is pressed now; `base` is a field's values where nothing is driven, `dt` the time since the last
    /// call in s.
    pub fn step(&mut self, bindings: &Bindings, refs: &Record, input: &Input, dt: f64, base: &Refs) {
        self.moving.clear();
        for binding in bindings.known(refs) {
            let push = binding.push(input, bindings.dead_zone);
            let at = (binding.field.clone(), binding.element);
            let rest = base.get(&at.0).and_then(|values| values.get(at.1)).copied().unwrap_or(0.0);
            if push == 0.0 {
                continue;
            }
            let now = self.values.get(&at).copied().unwrap_or(rest);
            let value = match binding.kind {
                Kind::Stick => rest + push * binding.amount,
                Kind::Nudge => now + push * binding.amount * dt,
                Kind::Press | Kind::Choose => binding.amount,
            };
            self.values.insert(at.clone(), value);
            self.moving.insert(at);
        }
        self.let_go(bindings, base);
    }

    /// What is let go goes back, or stays, as its kind is.
    fn let_go(&mut self, bindings: &Bindings, base: &Refs) {
        for ((field, element), value) in &mut self.values {
            let back = |b: &Binding| {
                b.field == *field && b.element == *element && matches!(b.kind, Kind::Stick | Kind::Press)
            };
            if !self.moving.contains(&(field.clone(), *element)) && bindings.list.iter().any(back) {
                *value = base.get(field).and_then(|values| values.get(*element)).copied().unwrap_or(0.0);
            }
        }
    }

    /// Whether anything is held at present.
    pub fn moving(&self) -> bool {
        !self.moving.is_empty()
    }

    /// Whether anything has been driven.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Forgets everything: the refs are nobody's again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The driven elements put into their fields.
    pub fn over(&self, base: &Refs, refs: &mut Refs) {
        for ((field, element), value) in &self.values {
            let Some(untouched) = base.get(field) else { continue };
            let values = refs.entry(field.clone()).or_insert_with(|| untouched.clone());
            if let Some(place) = values.get_mut(*element) {
                *place = *value;
            }
        }
    }

    /// As if everything had been let go.
    pub fn at_rest(&self, bindings: &Bindings, base: &Refs) -> Self {
        let mut rest = Self { moving: BTreeSet::new(), ..self.clone() };
        rest.let_go(bindings, base);
        rest
    }
}

impl Binding {
    /// How far it is pushed, from -1 to 1.
    fn push(&self, input: &Input, dead_zone: f32) -> f64 {
        let down = |key: Option<Key>| key.is_some_and(|key| input.keys.contains(&key));
        let mut push = f64::from(u8::from(down(self.plus))) - f64::from(u8::from(down(self.minus)));
        if let Some(pad) = &input.pad {
            let axis = self.axis.map_or(0.0, |axis| f64::from(pad.axis(axis, dead_zone)));
            push += if self.inverted { -axis } else { axis };
            push += f64::from(u8::from(self.button.is_some_and(|button| pad.button(button))));
        }
        push.clamp(-1.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::{Field, Group};

    fn record() -> Record {
        let fields = vec![
            Field::new("lin_vel", "m/s", "").shape(&[2]),
            Field::new("base_height", "m", "").default_values(&[0.3]),
            Field::new("contact_flags", "", "").shape(&[4]).default_values(&[1.0]),
            Field::new("gait", "", "").default_values(&[1.0]),
        ];
        Record::place(Group::Refs, fields).unwrap()
    }

    fn base() -> Refs {
        [
            ("lin_vel", vec![0.0, 0.1]),
            ("base_height", vec![0.3]),
            ("contact_flags", vec![1.0; 4]),
            ("gait", vec![1.0]),
        ]
        .map(|(name, values)| (name.to_owned(), values))
        .into()
    }

    fn refs(driven: &Driven) -> Refs {
        let mut refs = Refs::new();
        driven.over(&base(), &mut refs);
        refs
    }

    fn keys(keys: &[Key]) -> Input {
        Input { keys: keys.iter().copied().collect(), pad: None }
    }

    #[test]
    fn only_what_was_touched_is_driven_and_let_go_it_is_back() {
        let (bindings, record, mut driven) = (Bindings::default(), record(), Driven::default());
        let mut step = |input: Input| {
            driven.step(&bindings, &record, &input, 0.1, &base());
            (refs(&driven), driven.moving())
        };
        assert_eq!(step(keys(&[])), (Refs::new(), false));
        let (now, moving) = step(keys(&[Key::W]));
        assert_eq!((&now["lin_vel"][..], now.len(), moving), (&[0.5, 0.1][..], 1, true));
        let (now, _) = step(keys(&[Key::W, Key::S, Key::R]));
        assert_eq!(now["lin_vel"], [0.0, 0.1], "both keys are neither");
        assert!((now["base_height"][0] - 0.305).abs() < 1e-12);
        let (now, moving) = step(keys(&[Key::Num9, Key::B]));
        assert_eq!(
            (&now["contact_flags"][..], &now["gait"][..], moving),
            (&[1.0, 0.0, 1.0, 1.0][..], &[4.0][..], true)
        );
        let (now, moving) = step(keys(&[]));
        assert!((now["base_height"][0] - 0.305).abs() < 1e-12, "a height stays");
        assert_eq!((&now["contact_flags"][..], &now["gait"][..]), (&[1.0; 4][..], &[4.0][..]));
        assert!(!moving);
    }

    #[test]
    fn sticks_and_buttons() {
        let (bindings, record, mut driven) = (Bindings::default(), record(), Driven::default());
        let pad = Pad { axes: vec![0.05, -1.0], buttons: vec![true], ..Pad::default() };
        let input = Input { keys: BTreeSet::new(), pad: Some(pad) };
        driven.step(&bindings, &record, &input, 0.1, &base());
        let now = refs(&driven);
        assert_eq!(now["lin_vel"], [0.5, 0.1], "forward is -1; sideways it rests");
        assert_eq!(now["contact_flags"], [1.0, 1.0, 0.0, 1.0]);
        let mut rest = Refs::new();
        driven.at_rest(&bindings, &base()).over(&base(), &mut rest);
        assert_eq!((&rest["lin_vel"][..], &rest["contact_flags"][..]), (&[0.0, 0.1][..], &[1.0; 4][..]));
        driven.step(&bindings, &record, &keys(&[]), 0.1, &base());
        assert_eq!(refs(&driven), rest, "let go");
    }

    #[test]
    fn what_the_cluster_has_not_is_left_out() {
        let bindings = Bindings {
            list: vec![
                Binding { field: "lin_vel".into(), element: 7, plus: Some(Key::W), ..Binding::default() },
                Binding { field: "wings".into(), plus: Some(Key::W), ..Binding::default() },
            ],
            ..Bindings::default()
        };
        let mut driven = Driven::default();
        driven.step(&bindings, &record(), &keys(&[Key::W]), 0.1, &base());
        assert!(driven.is_empty());
    }
}
