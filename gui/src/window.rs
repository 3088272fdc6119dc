//! Opens the window, or takes a picture without one.

use crate::{
    app::App,
    args::{Args, Renderer},
    chooser::{Source, clusters},
    raster,
    settings::{Settings, SettingsFile},
    theme,
};
use eframe::NativeOptions;
use egui::{Context, Pos2, RawInput, Rect, Vec2, ViewportBuilder};
use std::{
    env,
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Set when the program has started itself anew with painting by the processor.
const SOFTWARE: &str = "LIBGL_ALWAYS_SOFTWARE";
/// Time between the frames of a picture in the making.
const FRAME: Duration = Duration::from_millis(33);

/// Does what the command line says, or says in a sentence why not.
pub fn run(args: &Args) -> Result<(), String> {
    let (file, mut settings, said) = open_settings(args);
    settings.page = args.page.unwrap_or(settings.page);
    settings.row = args.row.unwrap_or(settings.row);
    settings.theme = args.theme.map_or(settings.theme, Into::into);
    settings.scale = args.scale.unwrap_or(settings.scale);
    settings.size = args.size.unwrap_or(settings.size);
    let source = match &args.what {
        Some(word) => Some(named(word)?),
        None => match &clusters()[..] {
            [only] => Some(Source::Cluster(only.name.clone())),
            _ => None,
        },
    };
    if let Some(path) = &args.screenshot {
        said.into_iter().for_each(|text| eprintln!("phalanx-gui: {text}"));
        let app = App::new(source, settings, None);
        return screenshot(app, path, args.after);
    }
    let size = settings.size;
    let app = App::new(source, settings, file);
    said.into_iter().for_each(|text| app.say(text, true));
    open(app, size, args.renderer)
}

/// A file must be there; a cluster may come later.
fn named(word: &str) -> Result<Source, String> {
    let source = Source::named(word);
    match &source {
        Source::File(path) if !path.is_file() => Err(format!("there is no file {}", path.display())),
        Source::Cluster(name) => match phalanx_shm::ArenaName::new(name) {
            Ok(_) => Ok(source),
            Err(e) => Err(e.to_string()),
        },
        Source::File(_) => Ok(source),
    }
}

fn open_settings(args: &Args) -> (Option<SettingsFile>, Settings, Option<String>) {
    match args.layout.clone().or_else(SettingsFile::usual) {
        Some(path) => {
            let (file, settings, said) = SettingsFile::open(&path);
            (Some(file), settings, said)
        }
        None => (None, Settings::default(), None),
    }
}

/// Opens the window, and returns when it is closed.
fn open(app: App, size: [f32; 2], renderer: Renderer) -> Result<(), String> {
    let software = renderer == Renderer::Software || env::var_os(SOFTWARE).is_some();
    if renderer == Renderer::Software && env::var_os(SOFTWARE).is_none() {
        return Err(again());
    }
    let viewport = ViewportBuilder::default()
        .with_title(app.title())
        .with_app_id("phalanx-gui")
        .with_inner_size(size)
        .with_min_inner_size([640.0, 400.0]);
    let options = NativeOptions { viewport, ..NativeOptions::default() };
    match eframe::run_native("phalanx-gui", options, Box::new(move |_| Ok(Box::new(app)))) {
        Ok(()) => Ok(()),
        Err(error) if is_display(&error) => Err(no_display(&error.to_string())),
        // Painting failed. The processor can do it, too, but what decides is read when the library is loaded.
        Err(_) if !software && renderer == Renderer::Auto => Err(again()),
        Err(error) => Err(no_display(&error.to_string())),
    }
}

/// Starts this program anew with painting by the processor. Only ever returns a reason why not.
fn again() -> String {
    let start = env::current_exe()
        .map(|exe| Command::new(exe).args(env::args_os().skip(1)).env(SOFTWARE, "1").exec());
    let (Ok(error) | Err(error)) = start;
    format!("painting by the processor cannot be started: {error}")
}

fn is_display(error: &eframe::Error) -> bool {
    matches!(error, eframe::Error::Winit(_) | eframe::Error::WinitEventLoop(_))
}

/// What to do without a display.
fn no_display(why: &str) -> String {
    let shown = match (env::var("WAYLAND_DISPLAY"), env::var("DISPLAY")) {
        (Err(_), Err(_)) => "neither WAYLAND_DISPLAY nor DISPLAY is set".to_owned(),
        (Ok(wayland), Err(_)) => format!("WAYLAND_DISPLAY={wayland}"),
        (_, Ok(display)) => format!("DISPLAY={display}"),
    };
    // Without either the reason is known; the library's words would only name its source files.
    let why = if shown.starts_with("neither") { String::new() } else { format!(": {why}") };
    format!(
        "no window can be opened here ({shown}{why}); `phalanx-gui … --screenshot FILE` takes a picture without a \
         display, `phalanx top` shows the cluster in the terminal, `ssh -X` brings the window to you, `xvfb-run \
         phalanx-gui …` gives it a display that nobody sees"
    )
}

/// Runs the debugger for a while without a display, and writes what it looks like then.
fn screenshot(mut app: App, path: &Path, after_s: f64) -> Result<(), String> {
    let image = look(&mut app, Duration::from_secs_f64(after_s));
    raster::save_png(&image, path).map_err(|e| format!("{} cannot be written: {e}", path.display()))
}

/// What the debugger looks like after a while.
pub fn look(app: &mut App, after: Duration) -> egui::ColorImage {
    let settings = app.settings();
    let (size, scale) = (settings.size, settings.scale);
    let ctx = Context::default();
    theme::install(&ctx, settings.theme);
    let mut raster = raster::Raster::default();
    let began = Instant::now();
    let mut frames = 0;
    loop {
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, Vec2::from(size) / scale)),
            time: Some(began.elapsed().as_secs_f64()),
            focused: true,
            ..RawInput::default()
        };
        if let Some(viewport) = input.viewports.get_mut(&input.viewport_id) {
            viewport.native_pixels_per_point = Some(1.0);
        }
        let mut output = ctx.run_ui(input, |ui| app.frame(ui));
        raster.update(&mut output.textures_delta);
        frames += 1;
        if frames >= 8 && began.elapsed() >= after {
            let primitives = ctx.tessellate(output.shapes, output.pixels_per_point);
            let pixels = size.map(|side| side.round() as usize);
            let ground = ctx.global_style().visuals.panel_fill;
            return raster.paint(pixels, output.pixels_per_point, &primitives, ground);
        }
        thread::sleep(FRAME);
    }
}
