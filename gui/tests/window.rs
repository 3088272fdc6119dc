//! The real program, in a real window on a display that nobody sees, on a living cluster.

use crate::common::Herd;
use std::{
    io::{BufRead, BufReader, Cursor},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Ends what was started.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A herd that walks on a thread of its own until it is dropped.
struct Walking {
    name: String,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Walking {
    fn start(rows: usize) -> Self {
        let mut herd = Herd::of(rows, 1);
        herd.hurry();
        let (name, stop) = (herd.name(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                herd.round();
                thread::sleep(Duration::from_millis(8));
            }
        });
        Self { name, stop, thread: Some(thread) }
    }
}

impl Drop for Walking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx-gui"));
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env("LIBGL_ALWAYS_SOFTWARE", "1");
    command
}

/// Width, height, and how many colours a PNG has.
fn colours(png: &[u8]) -> Option<(u32, u32, usize)> {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().ok()?;
    let mut bytes = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut bytes).ok()?;
    let step = info.color_type.samples() * (info.bit_depth as usize).div_ceil(8);
    let mut pixels: Vec<_> = bytes[..info.buffer_size()].chunks_exact(step).collect();
    pixels.sort_unstable();
    pixels.dedup();
    Some((info.width, info.height, pixels.len()))
}

fn display() -> Result<(Ended, String), String> {
    let started = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1280x800x24", "+extension", "GLX", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut server = Ended(started.map_err(|e| format!("Xvfb: {e}"))?);
    let mut number = String::new();
    let out = server.0.stdout.take().ok_or("Xvfb has no stdout")?;
    BufReader::new(out).read_line(&mut number).map_err(|e| e.to_string())?;
    if number.trim().is_empty() {
        return Err("Xvfb opened no display".into());
    }
    Ok((server, format!(":{}", number.trim())))
}

#[test]
fn the_window_opens_shows_a_walking_herd_and_keeps_its_layout() {
    for needed in ["Xvfb", "import"] {
        if Command::new(needed).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
        {
            eprintln!(
                "NOT TESTED: there is no {needed} here; apt-get install xvfb imagemagick libgl1-mesa-dri"
            );
            return;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (_server, display) = display().unwrap();
    let herd = Walking::start(12);
    let mut window = Ended(
        program()
            .args([&herd.name, "--page", "cluster", "--theme", "dark", "--size", "1280x800"])
            .env("DISPLAY", &display)
            .env("XDG_CONFIG_HOME", folder.path())
            .spawn()
            .unwrap(),
    );
    let layout = folder.path().join("phalanx/debugger.json");
    let began = Instant::now();
    let mut seen = (0, 0, 0);
    while began.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(500));
        assert_eq!(window.0.try_wait().unwrap(), None, "it goes on until it is closed");
        let taken =
            Command::new("import").args(["-display", &display, "-window", "root", "png:-"]).output().unwrap();
        seen = colours(&taken.stdout).unwrap_or_default();
        // A window that shows nothing but its ground has one colour; letters alone make dozens of shades.
        if seen.2 > 40 && layout.exists() {
            break;
        }
    }
    assert_eq!((seen.0, seen.1), (1280, 800));
    assert!(seen.2 > 40, "only {} colours are seen", seen.2);
    let kept = std::fs::read_to_string(layout).unwrap();
    phalanx_gui::settings::Settings::from_json(&kept).unwrap();
}

#[test]
fn without_a_display_it_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let out = program().arg("nobody").env("XDG_CONFIG_HOME", folder.path()).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8(out.stderr).unwrap();
    for word in [
        "no window can be opened",
        "neither WAYLAND_DISPLAY nor DISPLAY",
        "--screenshot",
        "phalanx top",
        "xvfb-run",
    ] {
        assert!(said.contains(word), "{word:?} is missing in {said:?}");
    }
    let out = program()
        .arg("nobody")
        .env("XDG_CONFIG_HOME", folder.path())
        .env("DISPLAY", ":9876")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8(out.stderr).unwrap().contains("DISPLAY=:9876"));
}

#[test]
fn a_picture_needs_no_display() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("herd.png");
    let herd = Walking::start(12);
    let out = program()
        .args([&herd.name, "--theme", "light", "--size", "1920x1080", "--after", "1"])
        .arg("--layout")
        .arg(folder.path().join("none.json"))
        .arg("--screenshot")
        .arg(&path)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let (width, height, colours) = colours(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((width, height), (1920, 1080));
    assert!(colours > 40, "only {colours} colours are seen");
    let out = program().args(["no/such.mcap", "--screenshot", "x.png"]).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("there is no file no/such.mcap"));
}
