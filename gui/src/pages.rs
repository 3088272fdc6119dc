//! What can be looked at. Each page is its state, `Serialize` as far as it is to be restored, and a
//! `show(&mut self, ui, cx)` that draws over plain data.

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
