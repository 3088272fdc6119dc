//! The command line.

use crate::settings::Tab;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Looks into a cluster, a recording or a dump.
///
/// Without a name it shows the only cluster there is, or a list to choose from. A cluster that is named may start
/// later, end, and start again: the window finds it. Nothing can be changed until the controls are armed.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "phalanx-gui",
    version,
    max_term_width = 100,
    after_help = "\
KEYS
  1 2 3 4 pages · Space freeze · Up Down row · G go to row · X time axis
  Ctrl+K find anything · ? all keys · T theme · R arm · F11 full screen · F12 picture

WITHOUT A DISPLAY
  phalanx-gui go1 --screenshot go1.png         a picture, no display needed
  phalanx top go1                              in a terminal
  ssh -X host phalanx-gui go1                  the window here, the cluster there

EXAMPLE
  phalanx serve quadruped_srbd --name go1 -n 16     # in one terminal
  phalanx-gui go1 --page row --row 3                # in another
  phalanx-gui run.mcap --layout team.json"
)]
pub struct Args {
    /// A cluster's name, a recording (.mcap) or a dump (.json)
    pub what: Option<String>,
    /// The page to open
    #[arg(long, value_enum)]
    pub page: Option<Tab>,
    /// The row to look at
    #[arg(long)]
    pub row: Option<usize>,
    /// Dark, light, or as the system has it
    #[arg(long, value_enum)]
    pub theme: Option<Look>,
    /// Scale of everything, text included
    #[arg(long, value_parser = scale)]
    pub scale: Option<f32>,
    /// The file the layout is read from and saved to [default: phalanx/debugger.json in $XDG_CONFIG_HOME]
    #[arg(long, value_name = "FILE")]
    pub layout: Option<PathBuf>,
    /// Size of the window or picture, points
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    pub size: Option<[f32; 2]>,
    /// Writes a picture (PNG) and ends; needs no display
    #[arg(long, value_name = "FILE")]
    pub screenshot: Option<PathBuf>,
    /// How long data are gathered before the picture, s
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds, requires = "screenshot")]
    pub after: f64,
    /// What paints the window
    #[arg(long, value_enum, default_value = "auto")]
    pub renderer: Renderer,
}

/// Dark, light, or as the system has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Look {
    /// Light on dark.
    Dark,
    /// Dark on light.
    Light,
    /// As the system has it.
    System,
}

/// What paints the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Renderer {
    /// The graphics card, or the processor where that fails.
    Auto,
    /// The graphics card.
    Hardware,
    /// The processor.
    Software,
}

impl From<Look> for egui::ThemePreference {
    fn from(look: Look) -> Self {
        match look {
            Look::Dark => Self::Dark,
            Look::Light => Self::Light,
            Look::System => Self::System,
        }
    }
}

fn scale(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(scale) if (0.5..=3.0).contains(&scale) => Ok(scale),
        _ => Err("a number from 0.5 to 3".into()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("seconds from 0 to 3600".into()),
    }
}

fn size(text: &str) -> Result<[f32; 2], String> {
    let side =
        |text: &str| text.parse::<u16>().ok().filter(|side| (200..=8192).contains(side)).map(f32::from);
    let sides = text.split_once('x').and_then(|(w, h)| Some([side(w)?, side(h)?]));
    sides.ok_or_else(|| "write such as 1280x800, each side from 200 to 8192".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
        let args =
            Args::parse_from(["phalanx-gui", "go1", "--size", "1920x1080", "--page", "plots", "--row", "3"]);
        assert_eq!((args.size, args.page, args.row), (Some([1920.0, 1080.0]), Some(Tab::Plots), Some(3)));
        for bad in ["1280", "0x0", "1280x", "9999x100", "-1x5"] {
            assert!(Args::try_parse_from(["phalanx-gui", &format!("--size={bad}")]).is_err(), "{bad}");
        }
        assert!(Args::try_parse_from(["phalanx-gui", "--after", "3"]).is_err(), "of what picture?");
        assert!(Args::try_parse_from(["phalanx-gui", "--scale", "nan"]).is_err());
    }
}
