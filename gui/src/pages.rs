//! What can be looked at. Each page is its state, `Serialize` as far as it is to be restored, and a
//! `show(&mut self, ui, cx)` that draws over plain data.

pub mod cluster;
pub mod plots;
pub mod row;

use crate::{
    data::{Link, Stamp, Store, Wants},
    theme::Theme,
    timeline::Timeline,
};

/// What a page may look at, and what it may ask for.
pub struct Context<'a> {
    /// All that is known of the cluster.
    pub store: &'a Store,
    /// How the data come.
    pub link: &'a Link,
    /// Colours and shapes.
    pub theme: &'a Theme,
    /// The time that all plots share.
    pub timeline: &'a mut Timeline,
    /// What the feed is to follow; each page adds to it.
    pub wants: &'a mut Wants,
    /// What else is to be done after this frame.
    pub actions: &'a mut Vec<Action>,
}

/// Something a page asks the shell to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Opens a row's page.
    OpenRow(usize),
    /// Opens a row's page at a moment, frozen.
    JumpTo(usize, Stamp),
    /// Saves the last rounds of a row to a file, asked for by the shell.
    SaveDump(usize),
    /// Adds curves to a plot of the plots page.
    Plot(Vec<crate::data::Curve>),
    /// Tells the user something in passing.
    Say(String),
}

/// A page of the debugger.
pub trait Page {
    /// Draws it.
    fn show(&mut self, ui: &mut egui::Ui, cx: &mut Context<'_>);

    /// What can be done on it by name or by key, for the command palette and the sheet of keys.
    fn commands(&self) -> Vec<Command> {
        Vec::new()
    }

    /// Does one of those.
    fn run(&mut self, command: &str, cx: &mut Context<'_>) {
        let _ = (command, cx);
    }
}

/// Something that can be done by name or by key.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What [`Page::run`] is given.
    pub id: &'static str,
    /// As people look for it.
    pub name: &'static str,
    /// Its key, if it has one. Keys are heard while no text is being edited.
    pub keys: Option<egui::KeyboardShortcut>,
}
