//! Everything the shell can do, in one table: keys, palette and the sheet of keys are made of it.

use crate::settings::Tab;
use egui::{Context, Key, KeyboardShortcut, Modifiers};

/// Something the shell can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Do {
    /// Opens a page.
    Open(Tab),
    /// Freezes the view, or goes on.
    Pause,
    /// Goes back to now.
    Live,
    /// Goes so many rows on.
    RowBy(i64),
    /// Asks for a row.
    GoTo,
    /// The next time axis.
    Axis,
    /// The other theme.
    Theme,
    /// As the system has it.
    SystemTheme,
    /// Larger or smaller by steps; 0 for the usual size.
    Scale(i8),
    /// Arms the controls, or disarms.
    Arm,
    /// Shows the palette.
    Palette,
    /// Shows the sheet of keys.
    Keys,
    /// Shows what a frame costs.
    Frames,
    /// The whole screen, or a window again.
    FullScreen,
    /// Saves a picture of the window.
    Screenshot,
    /// Saves the last rounds of the row.
    SaveDump,
    /// Saves the layout now.
    SaveLayout,
    /// Lays everything out as at first.
    ResetLayout,
    /// Lists the clusters there are.
    Choose,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// What it does.
    pub what: Do,
    /// As people look for it.
    pub name: &'static str,
    /// Its keys, if any; all of them do.
    pub keys: &'static [KeyboardShortcut],
}

const fn key(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

const fn ctrl(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const fn line(what: Do, name: &'static str, keys: &'static [KeyboardShortcut]) -> Line {
    Line { what, name, keys }
}

/// Everything the shell can do.
pub const COMMANDS: [Line; 27] = [
    line(Do::Open(Tab::Cluster), "Open the page Cluster", &[key(Key::Num1)]),
    line(Do::Open(Tab::Row), "Open the page Row", &[key(Key::Num2)]),
    line(Do::Open(Tab::Plots), "Open the page Plots", &[key(Key::Num3)]),
    line(Do::Open(Tab::Control), "Open the page Control", &[key(Key::Num4)]),
    line(Do::Pause, "Freeze or go on (collecting goes on in any case)", &[key(Key::Space)]),
    line(Do::Live, "Back to now", &[key(Key::Home)]),
    line(Do::RowBy(1), "Next row", &[key(Key::ArrowDown)]),
    line(Do::RowBy(-1), "Previous row", &[key(Key::ArrowUp)]),
    line(Do::RowBy(10), "Ten rows on", &[key(Key::PageDown)]),
    line(Do::RowBy(-10), "Ten rows back", &[key(Key::PageUp)]),
    line(Do::GoTo, "Go to a row by its number", &[key(Key::G)]),
    line(Do::Axis, "Time axis: simulated, wall clock, rounds", &[key(Key::X)]),
    line(Do::Theme, "Dark or light", &[key(Key::T)]),
    line(Do::SystemTheme, "Dark or light as the system has it", &[]),
    line(Do::Scale(1), "Larger", &[ctrl(Key::Plus), ctrl(Key::Equals)]),
    line(Do::Scale(-1), "Smaller", &[ctrl(Key::Minus)]),
    line(Do::Scale(0), "Usual size", &[ctrl(Key::Num0)]),
    line(Do::Arm, "Arm or disarm the controls", &[key(Key::R)]),
    line(Do::Palette, "Find a command, a row, a field", &[ctrl(Key::K), ctrl(Key::P), key(Key::Slash)]),
    line(Do::Keys, "Show all keys", &[key(Key::Questionmark)]),
    line(Do::Frames, "What a frame costs", &[key(Key::F3)]),
    line(Do::FullScreen, "Full screen", &[key(Key::F11)]),
    line(Do::Screenshot, "Save a picture of the window", &[key(Key::F12)]),
    line(Do::SaveDump, "Save the last rounds of the row to a file", &[ctrl(Key::S)]),
    line(Do::SaveLayout, "Save the layout now", &[]),
    line(Do::ResetLayout, "Lay everything out as at first", &[]),
    line(Do::Choose, "Look at another cluster or file", &[ctrl(Key::O)]),
];

/// What the keys pressed in this frame ask for. None are heard while text is edited or something else has taken the
/// keyboard; those with a modifier always are.
pub fn pressed(ctx: &Context, taken: bool) -> Vec<Do> {
    let typing = taken || ctx.text_edit_focused();
    // What has the focus moves by them: the heat map, a slider.
    let focused = ctx.memory(|memory| memory.focused().is_some());
    let heard = |shortcut: &KeyboardShortcut| {
        let moves = matches!(shortcut.logical_key, Key::ArrowUp | Key::ArrowDown);
        !(focused && moves && shortcut.modifiers.is_none())
            && (!typing || shortcut.modifiers.command || is_function(shortcut.logical_key))
            && ctx.input_mut(|i| i.consume_shortcut(shortcut))
    };
    // Longer ones first: a shortcut without modifiers would be heard in one that has them.
    let mut lines: Vec<_> =
        COMMANDS.iter().flat_map(|line| line.keys.iter().map(move |k| (line.what, k))).collect();
    lines.sort_by_key(|(_, shortcut)| shortcut.modifiers.is_none());
    lines.into_iter().filter(|(_, shortcut)| heard(shortcut)).map(|(what, _)| what).collect()
}

/// A shortcut as it stands on the keys.
pub fn key_text(shortcut: &KeyboardShortcut) -> String {
    let key = match shortcut.logical_key {
        Key::Questionmark => "?",
        Key::Slash => "/",
        Key::Plus => "+",
        Key::Minus => "-",
        Key::Equals => "=",
        key => key.name(),
    };
    let modifiers = egui::ModifierNames::NAMES.format(&shortcut.modifiers, false);
    if modifiers.is_empty() { key.into() } else { format!("{modifiers}+{key}") }
}

fn is_function(key: Key) -> bool {
    key.name().len() > 1 && key.name().starts_with('F')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let keys: Vec<_> = COMMANDS.iter().flat_map(|line| line.keys).collect();
        for (n, key) in keys.iter().enumerate() {
            assert!(!keys[..n].contains(key), "{key:?}");
        }
        assert!(is_function(Key::F11) && !is_function(Key::F));
    }
}
