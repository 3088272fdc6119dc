//! A gamepad by Linux' joystick devices: records of eight bytes, read without waiting.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often a gamepad is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// More axes or buttons than any gamepad has.
const MOST: usize = 64;

/// A gamepad's sticks and buttons.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pad {
    /// Where it is.
    pub device: PathBuf,
    /// Its axes, from -1 to 1.
    pub axes: Vec<f32>,
    /// Which buttons are down.
    pub buttons: Vec<bool>,
}

impl Pad {
    /// An axis with its rest cut off: within the dead zone it is 0, and grows evenly from there.
    pub fn axis(&self, number: u8, dead_zone: f32) -> f32 {
        let value = self.axes.get(usize::from(number)).copied().unwrap_or(0.0);
        let beyond = (value.abs() - dead_zone).max(0.0) / (1.0 - dead_zone).max(1e-3);
        beyond.min(1.0).copysign(value)
    }

    /// Whether a button is down.
    pub fn button(&self, number: u8) -> bool {
        self.buttons.get(usize::from(number)).copied().unwrap_or(false)
    }

    /// Takes a record: time in ms (4 bytes), value (2), kind (1), number (1).
    fn take(&mut self, record: [u8; 8]) {
        let value = i16::from_le_bytes([record[4], record[5]]);
        let number = usize::from(record[7]);
        if number >= MOST {
            return;
        }
        // The highest bit marks what was so when the device was opened.
        match record[6] & 0x7f {
            1 => *place(&mut self.buttons, number) = value != 0,
            2 => *place(&mut self.axes, number) = (f32::from(value) / 32767.0).clamp(-1.0, 1.0),
            _ => {}
        }
    }
}

fn place<T: Default + Clone>(all: &mut Vec<T>, number: usize) -> &mut T {
    if all.len() <= number {
        all.resize(number + 1, T::default());
    }
    &mut all[number]
}

/// Whichever gamepad is plugged in.
#[derive(Debug)]
pub struct Gamepad {
    folder: PathBuf,
    open: Option<(File, Pad)>,
    partial: Vec<u8>,
    looked: Option<Instant>,
}

impl Default for Gamepad {
    fn default() -> Self {
        Self::within(Path::new("/dev/input"))
    }
}

impl Gamepad {
    /// The first `js*` of a folder.
    pub fn within(folder: &Path) -> Self {
        Self { folder: folder.into(), open: None, partial: Vec::new(), looked: None }
    }

    /// What it says now; `None` while there is none. Never waits.
    pub fn poll(&mut self) -> Option<&Pad> {
        if self.open.is_none() && self.looked.is_none_or(|at| at.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            self.open = find(&self.folder);
            self.partial.clear();
        }
        let (file, pad) = self.open.as_mut()?;
        let mut bytes = [0; 512];
        loop {
            match file.read(&mut bytes) {
                // Unplugged.
                Ok(0) => break self.open = None,
                Ok(count) => {
                    self.partial.extend_from_slice(&bytes[..count]);
                    let whole = self.partial.len() / 8 * 8;
                    for record in self.partial[..whole].chunks_exact(8) {
                        let mut eight = [0; 8];
                        eight.copy_from_slice(record);
                        pad.take(eight);
                    }
                    self.partial.drain(..whole);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break self.open = None,
            }
        }
        self.open.as_ref().map(|(_, pad)| pad)
    }
}

fn find(folder: &Path) -> Option<(File, Pad)> {
    let mut devices: Vec<_> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    devices.sort();
    let sticks = devices.into_iter().filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("js"))
    });
    sticks.into_iter().find_map(|device| {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&device).ok()?;
        Some((file, Pad { device, ..Pad::default() }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn record(value: i16, kind: u8, number: u8) -> [u8; 8] {
        let [low, high] = value.to_le_bytes();
        [1, 2, 3, 4, low, high, kind, number]
    }

    #[test]
    fn sticks_buttons_and_unplugging() {
        let folder = tempfile::tempdir().unwrap();
        let mut pad = Gamepad::within(folder.path());
        assert_eq!(pad.poll(), None, "none is plugged in");
        let device = folder.path().join("js0");
        let made = std::process::Command::new("mkfifo").arg(&device).status().unwrap();
        assert!(made.success());
        // Opened for reading and writing, so that neither end waits for the other.
        let mut writer = OpenOptions::new().read(true).write(true).open(&device).unwrap();
        pad.looked = None;
        assert!(pad.poll().unwrap().axes.is_empty(), "hot plug");
        writer.write_all(&record(-32767, 0x82, 1)).unwrap();
        writer.write_all(&record(16384, 2, 3)).unwrap();
        writer.write_all(&record(1, 1, 4)).unwrap();
        // Half a record now, half of it later.
        writer.write_all(&record(1, 1, 0)[..3]).unwrap();
        let now = pad.poll().unwrap();
        assert_eq!((now.axis(1, 0.1), now.button(4), now.button(0)), (-1.0, true, false));
        assert!((now.axis(3, 0.0) - 0.5).abs() < 1e-3);
        assert!((now.axis(3, 0.2) - 0.375).abs() < 1e-3, "beyond the dead zone it grows evenly");
        assert_eq!(now.axis(3, 0.6), 0.0);
        assert_eq!((now.axis(9, 0.1), now.button(63)), (0.0, false), "it has no such");
        writer.write_all(&record(1, 1, 0)[3..]).unwrap();
        writer.write_all(&record(0, 1, 4)).unwrap();
        let now = pad.poll().unwrap();
        assert_eq!((now.button(0), now.button(4)), (true, false));
        writer.write_all(&record(7, 99, 255)).unwrap();
        pad.poll().unwrap();
        drop(writer);
        assert_eq!(pad.poll(), None, "unplugged");
    }
}
