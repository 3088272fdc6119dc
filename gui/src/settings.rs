//! What survives a restart: the window's size, the look, the layout, each page's state; one text file, sorted, so that
//! it can live in a repository and be shared.

use crate::timeline::Timeline;
use egui::ThemePreference;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Changes when an older program would misread a newer file.
const VERSION: u32 = 1;

/// The pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Tab {
    /// All rows at a glance.
    #[default]
    Cluster,
    /// One row: history and prediction.
    Row,
    /// Any field of any row.
    Plots,
    /// What an operator may do.
    Control,
}

impl Tab {
    /// All of them, in the order they are shown.
    pub const ALL: [Tab; 4] = [Tab::Cluster, Tab::Row, Tab::Plots, Tab::Control];

    /// As it is written on its tab.
    pub fn name(self) -> &'static str {
        match self {
            Tab::Cluster => "Cluster",
            Tab::Row => "Row",
            Tab::Plots => "Plots",
            Tab::Control => "Control",
        }
    }
}

/// What survives a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Of the file's format.
    pub version: u32,
    /// Dark, light, or as the system has it.
    pub theme: ThemePreference,
    /// Scale of everything, text included.
    pub scale: f32,
    /// The window's size, points.
    pub size: [f32; 2],
    /// The page that is open.
    pub page: Tab,
    /// The row that is looked at.
    pub row: usize,
    /// The time that all plots share.
    pub timeline: Timeline,
    /// Each page's own state, by its name in lower case.
    pub pages: Map<String, Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: VERSION,
            theme: ThemePreference::System,
            scale: 1.0,
            size: [1280.0, 800.0],
            page: Tab::Cluster,
            row: 0,
            timeline: Timeline::default(),
            pages: Map::new(),
        }
    }
}

/// A layout that ships with the program.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// For whom it is.
    pub doc: &'static str,
    text: &'static str,
}

/// Those that ship with the program.
pub const PRESETS: [Preset; 1] = [Preset {
    name: "classroom",
    doc: "light and large, for a projector",
    text: include_str!("presets/classroom.json"),
}];

impl Preset {
    /// What it sets.
    pub fn settings(&self) -> Result<Settings, String> {
        Settings::from_json(self.text)
    }
}

impl Settings {
    /// Reads a file's text, or says in a sentence what is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_str(text).map_err(|e| format!("it is no layout ({e})"))?;
        if head.version != VERSION {
            return Err(format!(
                "it is version {} of the format; this program reads version {VERSION}",
                head.version
            ));
        }
        let read: Self = serde_json::from_str(text).map_err(|e| format!("it cannot be understood ({e})"))?;
        Ok(read.within_reason())
    }

    /// As a file's text: sorted, a line per value, ends with a newline.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        // By way of a value: its maps are sorted, whatever kind of map a page keeps.
        Ok(serde_json::to_string_pretty(&serde_json::to_value(self)?)? + "\n")
    }

    /// A page's state; its default where there is none, and a sentence where what there is cannot be read.
    pub fn page<T: DeserializeOwned + Default>(&self, page: Tab) -> (T, Option<String>) {
        let Some(state) = self.pages.get(&page.name().to_lowercase()) else { return (T::default(), None) };
        match serde_json::from_value(state.clone()) {
            Ok(state) => (state, None),
            Err(e) => {
                let text =
                    format!("the layout of the page {} cannot be read and begins anew: {e}", page.name());
                (T::default(), Some(text))
            }
        }
    }

    /// Keeps a page's state.
    pub fn keep(&mut self, page: Tab, state: &impl Serialize) {
        if let Ok(state) = serde_json::to_value(state) {
            self.pages.insert(page.name().to_lowercase(), state);
        }
    }

    /// A window that can be seen, text that can be read, a stretch of time that can be drawn.
    fn within_reason(mut self) -> Self {
        let or = |x: f32, default: f32| if x.is_finite() { x } else { default };
        self.scale = or(self.scale, 1.0).clamp(0.5, 3.0);
        self.size = [or(self.size[0], 1280.0).clamp(480.0, 16e3), or(self.size[1], 800.0).clamp(320.0, 16e3)];
        let fresh = Timeline::default();
        if !(self.timeline.window.is_finite() && self.timeline.window > 0.0) {
            self.timeline.window = fresh.window;
        }
        if !self.timeline.start.is_finite() {
            self.timeline.start = fresh.start;
        }
        self
    }
}

/// Where settings are kept.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    saved: String,
}

impl SettingsFile {
    /// `$XDG_CONFIG_HOME/phalanx/debugger.json`, or below `~/.config`; `None` without a home.
    pub fn usual() -> Option<PathBuf> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
        Some(base.join("phalanx").join("debugger.json"))
    }

    /// Opens a file. One that is not there yet begins with the defaults; one that cannot be understood is kept aside,
    /// and a sentence says so. Never an error: the debugger starts in any case.
    pub fn open(path: &Path) -> (Self, Settings, Option<String>) {
        let file = |saved: &str| Self { path: path.into(), saved: saved.into() };
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return (file(""), Settings::default(), None),
            Err(e) => {
                let why =
                    format!("the layout {} cannot be read ({e}); the usual one is shown", path.display());
                return (file(""), Settings::default(), Some(why));
            }
        };
        match Settings::from_json(&text) {
            Ok(settings) => (file(&text), settings, None),
            Err(why) => {
                let aside = path.with_extension("json.unread");
                let kept = match fs::rename(path, &aside) {
                    Ok(()) => format!("kept as {}", aside.display()),
                    Err(e) => format!("and could not be kept aside: {e}"),
                };
                let said = format!(
                    "the layout {} was not used: {why}. It is {kept}; the usual one is shown",
                    path.display()
                );
                (file(""), Settings::default(), Some(said))
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file, whole or not at all, if anything is different from what it holds.
    pub fn save(&mut self, settings: &Settings) -> io::Result<()> {
        let text = settings.to_json()?;
        if text != self.saved {
            if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder)?;
            }
            phalanx::dump::replace(&self.path, text.as_bytes())?;
            self.saved = text;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_sorted() {
        let mut settings = Settings { row: 17, scale: 1.25, page: Tab::Plots, ..Settings::default() };
        settings.keep(Tab::Plots, &serde_json::json!({ "zebra": 1, "ant": [2, 3] }));
        settings.keep(Tab::Cluster, &serde_json::json!({}));
        let text = settings.to_json().unwrap();
        assert_eq!(Settings::from_json(&text).unwrap().row, 17);
        assert!(text.find("ant").unwrap() < text.find("zebra").unwrap());
        assert!(text.find("\"cluster\":").unwrap() < text.find("\"plots\":").unwrap());
        assert_eq!(text, Settings::from_json(&text).unwrap().to_json().unwrap(), "stable");
    }

    #[test]
    fn what_cannot_be_read_is_kept_aside_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/debugger.json");
        let (mut file, settings, said) = SettingsFile::open(&path);
        assert_eq!(said, None, "the first start is nothing to talk about");
        file.save(&settings).unwrap();
        for (text, why) in [
            ("{", "no layout"),
            ("[1, 2]", "no layout"),
            (r#"{"version": 99}"#, "version 99"),
            (r#"{"version": 1, "row": "seven"}"#, "cannot be understood"),
            (r#"{"version": 1, "colour": 3}"#, "cannot be understood"),
        ] {
            fs::write(&path, text).unwrap();
            let (_, settings, said) = SettingsFile::open(&path);
            assert_eq!(settings.to_json().unwrap(), Settings::default().to_json().unwrap());
            let said = said.expect(text);
            assert!(said.contains(why), "{said}");
            let aside = path.with_extension("json.unread");
            assert!(said.contains(&aside.display().to_string()), "{said}");
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
            assert!(!path.exists());
        }
        let (_, _, said) = SettingsFile::open(folder.path());
        assert!(said.expect("a folder").contains("cannot be read"));
    }

    #[test]
    fn wild_numbers_are_brought_within_reason() {
        let text = r#"{"version": 1, "scale": 1e9, "size": [0, -4], "timeline": {"axis": "Sim", "mode": "Sliding", "window": -1.0, "start": 0.0}}"#;
        let settings = Settings::from_json(text).unwrap();
        assert_eq!((settings.scale, settings.size), (3.0, [480.0, 320.0]));
        assert_eq!(settings.timeline.window, Timeline::default().window);
    }

    #[test]
    fn a_page_that_cannot_be_read_begins_anew() {
        let mut settings = Settings::default();
        settings.keep(Tab::Row, &serde_json::json!({ "row": [] }));
        let (row, said) = settings.page::<usize>(Tab::Row);
        assert_eq!(row, 0);
        assert!(said.unwrap().contains("page Row"));
        assert_eq!(settings.page::<usize>(Tab::Plots), (0, None));
    }

    #[test]
    fn presets_can_be_read() {
        for preset in PRESETS {
            preset.settings().unwrap_or_else(|e| panic!("{}: {e}", preset.name));
        }
    }
}
