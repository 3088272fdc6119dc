//! What is plotted where: saved, restored, undone as a whole.

use crate::{data::Curve, timeline::Timeline};
use egui_tiles::{Container, Linear, LinearDir, Tile, TileId, Tiles, Tree};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A line of a plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What it shows.
    pub curve: Curve,
    /// Which of the plot's colours it has: kept while others come and go.
    #[serde(default)]
    pub slot: usize,
    /// Its colour, red, green, blue, where it was chosen.
    #[serde(default)]
    pub color: Option<[u8; 3]>,
    /// Its width, in points of the screen.
    #[serde(default = "width")]
    pub width: f32,
    /// Whether it is drawn.
    #[serde(default = "yes")]
    pub shown: bool,
}

/// Where the names of a plot's lines stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Legend {
    /// Over the plot, in its upper left corner.
    #[default]
    Inside,
    /// Right of it, with the statistics of what is visible.
    Beside,
    /// Nowhere.
    Off,
}

/// A plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plot {
    /// Tells it from the others of the layout.
    pub id: u64,
    /// Its title; named after its lines where empty.
    pub title: String,
    /// Its lines.
    pub lines: Vec<Line>,
    /// What they are drawn over; over time where there is nothing.
    pub over: Option<Curve>,
    /// Whether the vertical axis counts in powers of ten.
    pub log: bool,
    /// Whether each line is stretched to its own least and greatest visible value.
    pub normalised: bool,
    /// The vertical limits, where they are fixed.
    pub limits: Option<[f64; 2]>,
    /// Where the names stand.
    pub legend: Legend,
    /// Whether there are lines through the ticks.
    pub grid: bool,
    /// Whether events are marked.
    pub marks: bool,
    /// Whether the present prediction is drawn right of now.
    pub prediction: bool,
}

fn width() -> f32 {
    1.5
}

fn yes() -> bool {
    true
}

impl Default for Plot {
    fn default() -> Self {
        Self {
            id: 0,
            title: String::new(),
            lines: Vec::new(),
            over: None,
            log: false,
            normalised: false,
            limits: None,
            legend: Legend::default(),
            grid: true,
            marks: true,
            prediction: false,
        }
    }
}

impl Plot {
    /// Of these curves.
    pub fn of(curves: impl IntoIterator<Item = Curve>) -> Self {
        let mut plot = Self::default();
        plot.add(curves);
        plot
    }

    /// Adds those it does not show yet; each takes the first colour that is free.
    pub fn add(&mut self, curves: impl IntoIterator<Item = Curve>) {
        for curve in curves {
            if let Some(line) = self.lines.iter_mut().find(|line| line.curve == curve) {
                line.shown = true;
                continue;
            }
            let slot = (0..).find(|slot| self.lines.iter().all(|line| line.slot != *slot)).unwrap_or(0);
            self.lines.push(Line { curve, slot, color: None, width: width(), shown: true });
        }
    }

    /// All curves it needs.
    pub fn curves(&self) -> impl Iterator<Item = &Curve> {
        self.lines.iter().map(|line| &line.curve).chain(&self.over)
    }

    /// What it is called.
    pub fn name(&self) -> String {
        if !self.title.is_empty() {
            return self.title.clone();
        }
        let mut names: Vec<String> = Vec::new();
        for channel in self.lines.iter().filter_map(|line| line.curve.channels().first()) {
            let name = format!("{}.{}", channel.pick.group, channel.pick.field);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        match names.as_slice() {
            [] => "Empty plot".into(),
            [one] => one.clone(),
            [one, two] => format!("{one}, {two}"),
            [one, rest @ ..] => format!("{one} and {} more", rest.len()),
        }
    }
}

/// How plots are arranged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// A plot.
    Plot(Box<Plot>),
    /// Behind one another, one of them in front.
    Tabs {
        /// Which.
        front: usize,
        /// They.
        of: Vec<Node>,
    },
    /// Side by side, with their shares of the width.
    Row(Vec<(f32, Node)>),
    /// Above one another, with their shares of the height.
    Column(Vec<(f32, Node)>),
    /// In a grid.
    Grid(Vec<Node>),
}

/// Everything of the plots page that is worth keeping: what a layout file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Of this form; others are refused.
    pub version: u32,
    /// The plots.
    pub plots: Option<Node>,
    /// Events that are not marked, by name.
    #[serde(default)]
    pub hidden_marks: BTreeSet<String>,
    /// Whether events of rows that are not plotted are marked too.
    #[serde(default)]
    pub all_rows: bool,
    /// The shared time, where it was saved along.
    #[serde(default)]
    pub timeline: Option<Timeline>,
}

/// The version of [`Layout`] that is written and read.
const VERSION: u32 = 1;

impl Default for Layout {
    fn default() -> Self {
        Self { version: VERSION, plots: None, hidden_marks: BTreeSet::new(), all_rows: false, timeline: None }
    }
}

impl Layout {
    /// As text for a file: the same layout gives the same text.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Of such a text, or why not, in a sentence.
    pub fn from_text(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_str(text).map_err(|e| {
            format!("This is no layout of plots ({e}). Save one from the Layout menu to see its form.")
        })?;
        if version != VERSION {
            return Err(format!("This layout has version {version}; this program reads version {VERSION}."));
        }
        let mut layout: Self =
            serde_json::from_str(text).map_err(|e| format!("This layout of plots has a mistake: {e}."))?;
        layout.check()?;
        layout.number();
        Ok(layout)
    }

    fn check(&self) -> Result<(), String> {
        for plot in self.plots() {
            let name = plot.name();
            if let Some([low, high]) = plot.limits
                && !(low.is_finite() && high.is_finite() && low < high)
            {
                return Err(format!(
                    "The limits of plot {name:?} are {low} and {high}: give a lower and a higher number."
                ));
            }
            if let Some(line) = plot.lines.iter().find(|line| !(0.1..=20.0).contains(&line.width)) {
                return Err(format!("A line of plot {name:?} is {} wide: give 0.1 to 20.", line.width));
            }
            if plot.curves().any(|curve| curve.channels().is_empty()) {
                return Err(format!("A curve of plot {name:?} is made of nothing: name its channels."));
            }
        }
        let time = self.timeline.as_ref();
        if time.is_some_and(|t| {
            !(t.window.is_finite() && t.window > 0.0 && t.start.is_finite() && t.back.is_finite())
        }) {
            return Err("The timeline's window is no positive number of seconds or rounds.".into());
        }
        Ok(())
    }

    /// Gives each plot a number of its own where a file was written by hand.
    pub(super) fn number(&mut self) {
        let mut taken = BTreeSet::new();
        if let Some(node) = &mut self.plots {
            node.each_mut(&mut |plot| {
                while plot.id == 0 || !taken.insert(plot.id) {
                    plot.id = taken.last().map_or(1, |last: &u64| last.saturating_add(1));
                }
            });
        }
    }

    /// All plots.
    pub fn plots(&self) -> Vec<&Plot> {
        let mut plots = Vec::new();
        if let Some(node) = &self.plots {
            node.each(&mut |plot| plots.push(plot));
        }
        plots
    }
}

impl Node {
    /// A plot.
    pub fn plot(plot: Plot) -> Self {
        Node::Plot(Box::new(plot))
    }

    fn each<'a>(&'a self, visit: &mut impl FnMut(&'a Plot)) {
        match self {
            Node::Plot(plot) => visit(plot),
            Node::Tabs { of, .. } | Node::Grid(of) => of.iter().for_each(|node| node.each(visit)),
            Node::Row(of) | Node::Column(of) => of.iter().for_each(|(_, node)| node.each(visit)),
        }
    }

    fn each_mut(&mut self, visit: &mut impl FnMut(&mut Plot)) {
        match self {
            Node::Plot(plot) => visit(plot),
            Node::Tabs { of, .. } | Node::Grid(of) => of.iter_mut().for_each(|node| node.each_mut(visit)),
            Node::Row(of) | Node::Column(of) => of.iter_mut().for_each(|(_, node)| node.each_mut(visit)),
        }
    }

    /// Puts it among tiles.
    pub fn plant(&self, tiles: &mut Tiles<Plot>) -> TileId {
        let linear = |tiles: &mut Tiles<Plot>, dir, of: &[(f32, Node)]| {
            let children: Vec<_> = of.iter().map(|(_, node)| node.plant(tiles)).collect();
            let mut linear = Linear::new(dir, children.clone());
            for (child, (share, _)) in children.into_iter().zip(of) {
                linear
                    .shares
                    .set_share(child, if share.is_finite() { share.clamp(0.01, 100.0) } else { 1.0 });
            }
            tiles.insert_container(linear)
        };
        match self {
            Node::Plot(plot) => tiles.insert_pane(Plot::clone(plot)),
            Node::Tabs { front, of } => {
                let children: Vec<_> = of.iter().map(|node| node.plant(tiles)).collect();
                let mut tabs = egui_tiles::Tabs::new(children.clone());
                if let Some(&child) = children.get(*front) {
                    tabs.set_active(child);
                }
                tiles.insert_container(tabs)
            }
            Node::Row(of) => linear(tiles, LinearDir::Horizontal, of),
            Node::Column(of) => linear(tiles, LinearDir::Vertical, of),
            Node::Grid(of) => {
                let children = of.iter().map(|node| node.plant(tiles)).collect();
                tiles.insert_grid_tile(children)
            }
        }
    }

    /// Reads it off the tiles. Containers of one are left out: they are only there to carry a title.
    pub fn read(tiles: &Tiles<Plot>, id: TileId) -> Option<Self> {
        let all = |ids: &mut dyn Iterator<Item = &TileId>| -> Vec<(TileId, Node)> {
            ids.filter_map(|&id| Some((id, Node::read(tiles, id)?))).collect()
        };
        let node = match tiles.get(id)? {
            Tile::Pane(plot) => Node::plot(plot.clone()),
            Tile::Container(Container::Tabs(tabs)) => {
                let children = all(&mut tabs.children.iter());
                let front = children.iter().position(|(id, _)| tabs.is_active(*id)).unwrap_or(0);
                Node::Tabs { front, of: children.into_iter().map(|(_, node)| node).collect() }
            }
            Tile::Container(Container::Linear(linear)) => {
                let share =
                    |id: TileId| linear.shares.iter().find(|(of, _)| **of == id).map_or(1.0, |(_, s)| *s);
                let of = all(&mut linear.children.iter())
                    .into_iter()
                    .map(|(id, node)| (share(id), node))
                    .collect();
                if linear.dir == LinearDir::Horizontal { Node::Row(of) } else { Node::Column(of) }
            }
            Tile::Container(Container::Grid(grid)) => {
                Node::Grid(all(&mut grid.children()).into_iter().map(|(_, node)| node).collect())
            }
        };
        node.simple()
    }

    fn simple(self) -> Option<Self> {
        let mut of = match self {
            Node::Plot(_) => return Some(self),
            Node::Tabs { front, of } if of.len() != 1 => {
                return (!of.is_empty()).then_some(Node::Tabs { front, of });
            }
            Node::Grid(of) if of.len() != 1 => return (!of.is_empty()).then_some(Node::Grid(of)),
            Node::Row(of) if of.len() != 1 => return (!of.is_empty()).then_some(Node::Row(of)),
            Node::Column(of) if of.len() != 1 => return (!of.is_empty()).then_some(Node::Column(of)),
            Node::Tabs { of, .. } | Node::Grid(of) => of,
            Node::Row(of) | Node::Column(of) => of.into_iter().map(|(_, node)| node).collect(),
        };
        of.pop()
    }

    /// The same but for which tabs are in front: looking is no change worth undoing.
    fn without_fronts(mut self) -> Self {
        match &mut self {
            Node::Plot(_) => {}
            Node::Tabs { front, of } => {
                *front = 0;
                *of = std::mem::take(of).into_iter().map(Node::without_fronts).collect();
            }
            Node::Grid(of) => *of = std::mem::take(of).into_iter().map(Node::without_fronts).collect(),
            Node::Row(of) | Node::Column(of) => {
                *of = std::mem::take(of).into_iter().map(|(s, node)| (s, node.without_fronts())).collect();
            }
        }
        self
    }
}

/// A tree of tiles that shows a layout.
pub fn tree(plots: Option<&Node>) -> Tree<Plot> {
    let id = egui::Id::unique("plots of the plots page");
    let mut tiles = Tiles::default();
    match plots {
        Some(node) => {
            let root = node.plant(&mut tiles);
            Tree::new(id, root, tiles)
        }
        None => Tree::empty(id),
    }
}

/// Layouts of before and after.
#[derive(Clone, Debug, Default)]
pub struct History {
    now: Option<Option<Node>>,
    before: Vec<Option<Node>>,
    after: Vec<Option<Node>>,
}

/// So many steps can be taken back.
const STEPS: usize = 200;

impl History {
    /// Takes note of the present arrangement; says whether it is a new step.
    pub fn note(&mut self, plots: Option<Node>) -> bool {
        let Some(last) = &self.now else {
            self.now = Some(plots);
            return false;
        };
        if *last == plots {
            return false;
        }
        let plain = |node: &Option<Node>| node.clone().map(Node::without_fronts);
        if plain(last) != plain(&plots) {
            self.before.extend(self.now.take());
            let surplus = self.before.len().saturating_sub(STEPS);
            self.before.drain(..surplus);
            self.after.clear();
        }
        self.now = Some(plots);
        true
    }

    /// The arrangement before, if there is one.
    pub fn undo(&mut self) -> Option<Option<Node>> {
        let before = self.before.pop()?;
        self.after.extend(self.now.replace(before.clone()));
        Some(before)
    }

    /// The arrangement that was undone last.
    pub fn redo(&mut self) -> Option<Option<Node>> {
        let after = self.after.pop()?;
        self.before.extend(self.now.replace(after.clone()));
        Some(after)
    }

    /// Whether there is something to undo, and to redo.
    pub fn can(&self) -> (bool, bool) {
        (!self.before.is_empty(), !self.after.is_empty())
    }
}

/// Layouts by the names people gave them.
pub type Named = BTreeMap<String, Layout>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Operation, Pick};
    use phalanx::Group;

    fn plot(id: u64, field: &str) -> Plot {
        let curves = (0..3).map(|n| Curve::Channel(Pick::new(Group::State, field, n).of(7)));
        Plot { id, ..Plot::of(curves) }
    }

    fn layout() -> Layout {
        let mut rich = plot(2, "joint_v");
        rich.title = "speeds".into();
        rich.lines[1].color = Some([1, 2, 3]);
        rich.lines[1].width = 3.0;
        rich.lines[2].shown = false;
        (rich.log, rich.normalised, rich.limits) = (true, true, Some([0.5, 2.0]));
        (rich.legend, rich.grid, rich.marks, rich.prediction) = (Legend::Beside, false, false, true);
        rich.over = Some(Curve::Derived(
            Operation::MovingAverage(20),
            vec![Pick::new(Group::Cmd, "joint_effort", 0).of(1)],
        ));
        let tabs = Node::Tabs { front: 1, of: vec![Node::plot(plot(1, "joint_q")), Node::plot(rich)] };
        let grid = Node::Grid((3..6).map(|id| Node::plot(plot(id, "root_pos"))).collect());
        let row = Node::Row(vec![(0.25, tabs), (0.75, grid)]);
        Layout {
            plots: Some(Node::Column(vec![(2.0, row), (1.0, Node::plot(plot(9, "gravity")))])),
            hidden_marks: ["late".to_owned()].into(),
            all_rows: true,
            timeline: Some(Timeline { window: 3.5, ..Timeline::default() }),
            ..Layout::default()
        }
    }

    #[test]
    fn a_layout_comes_back_from_text_and_from_tiles_as_it_was() {
        let layout = layout();
        assert_eq!(Layout::from_text(&layout.to_text()).unwrap(), layout);
        assert_eq!(layout.to_text(), layout.clone().to_text());
        let mut tree = tree(layout.plots.as_ref());
        let options =
            egui_tiles::SimplificationOptions { all_panes_must_have_tabs: true, ..Default::default() };
        tree.simplify(&options);
        assert_eq!(Node::read(&tree.tiles, tree.root.unwrap()), layout.plots);
    }

    #[test]
    fn what_is_no_layout_is_refused_in_a_sentence() {
        let says = |text: &str, words: &str| {
            let why = Layout::from_text(text).unwrap_err();
            assert!(why.contains(words) && why.ends_with('.'), "{why}");
        };
        says("", "no layout of plots");
        says("[1, 2]", "no layout of plots");
        says(r#"{"version": 7, "plots": null}"#, "version 7");
        says(r#"{"version": 1, "plots": null, "colour": 3}"#, "colour");
        says(r#"{"version": 1, "plots": {"plot": {"limits": [2.0, 1.0]}}}"#, "limits");
        says(
            r#"{"version": 1, "plots": {"plot": {"lines": [{"curve": {"Derived": ["Norm", []]}}]}}}"#,
            "nothing",
        );
        let by_hand =
            Layout::from_text(r#"{"version": 1, "plots": {"grid": [{"plot": {}}, {"plot": {}}]}}"#).unwrap();
        let ids: BTreeSet<_> = by_hand.plots().iter().map(|plot| plot.id).collect();
        assert_eq!(ids.len(), 2, "each its own number");
    }

    #[test]
    fn colours_stay_when_others_go() {
        let mut plot = plot(1, "joint_q");
        let slots = |plot: &Plot| plot.lines.iter().map(|l| l.slot).collect::<Vec<_>>();
        assert_eq!(slots(&plot), [0, 1, 2]);
        plot.lines.remove(1);
        assert_eq!(slots(&plot), [0, 2]);
        plot.add([Curve::Channel(Pick::new(Group::State, "joint_q", 8).of(7))]);
        assert_eq!(slots(&plot), [0, 2, 1], "the free colour is taken, the others stay");
        plot.add([plot.lines[0].curve.clone()]);
        assert_eq!(plot.lines.len(), 3, "nothing is shown twice");
    }

    #[test]
    fn steps_are_undone_and_redone_and_looking_is_no_step() {
        let one = Some(Node::plot(plot(1, "joint_q")));
        let tabs = |front| {
            let of = vec![Node::plot(plot(1, "joint_q")), Node::plot(plot(2, "joint_v"))];
            Some(Node::Tabs { front, of })
        };
        let mut history = History::default();
        history.note(None);
        history.note(one.clone());
        history.note(tabs(0));
        assert!(history.note(tabs(1)), "noted");
        assert_eq!(history.undo(), Some(one.clone()), "but no step");
        assert_eq!(history.undo(), Some(None));
        assert_eq!(history.undo(), None);
        assert_eq!(history.redo(), Some(one));
        assert_eq!(history.redo(), Some(tabs(1)));
        history.undo();
        history.note(None);
        assert_eq!(history.redo(), None, "a new step ends what could be redone");
    }
}
