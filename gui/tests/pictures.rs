//! The window as it looks: a few pictures, the same on any machine.

use crate::common::{Herd, settings, window};
use egui::Key;
use egui_kittest::Harness;
use phalanx_gui::{
    app::App,
    settings::{Settings, Tab},
    theme::Theme,
};

fn shown(theme: Theme, size: [f32; 2], page: Tab, shortcut: Option<Key>) -> Harness<'static, App> {
    let (feed, ..) = Herd::of(4, 8).feed();
    let settings = Settings { page, size, ..settings(theme.clone()) };
    let mut window = window(size, theme, App::of(feed, "go1", settings));
    window.run_steps(4);
    if let Some(key) = shortcut {
        window.key_press(key);
        window.run_steps(4);
    }
    window
}

#[test]
fn keys_dark() {
    shown(Theme::dark(), [1000.0, 640.0], Tab::Control, Some(Key::Questionmark)).snapshot("keys_dark");
}

#[test]
fn palette_light() {
    shown(Theme::light(), [1000.0, 640.0], Tab::Control, Some(Key::Slash)).snapshot("palette_light");
}
