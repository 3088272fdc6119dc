//! Stdout: for people or for programs, coloured or not, and possibly a pipe that closes at any moment.

use crate::fail::Failure;
use serde::Serialize;
use std::{
    fmt,
    io::{self, BufWriter, IsTerminal, Stdout, Write},
    time::Duration,
};

/// Where a command's result goes.
pub struct Out {
    pub json: bool,
    pub terminal: bool,
    colour: bool,
    stdout: BufWriter<Stdout>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
    Bold = 1,
    Dim = 2,
}

impl Out {
    pub fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let colour = terminal && !json && !dumb && !set("NO_COLOR");
        Self { json, terminal, colour, stdout: BufWriter::new(io::stdout()) }
    }

    /// Columns there are to write in; 80 where nobody looks.
    pub fn width(&self) -> usize {
        match terminal_size::terminal_size() {
            Some((width, _)) if self.terminal => usize::from(width.0).max(40),
            _ => 80,
        }
    }

    pub fn paint(&self, colour: Colour, text: impl fmt::Display) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_string() }
    }

    /// One JSON value, on a line of its own.
    pub fn value(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.stdout, value).map_err(io::Error::from)?;
        writeln!(self.stdout)?;
        // A stream's reader waits for this very line.
        Ok(self.stdout.flush()?)
    }

    /// Hands over what is still buffered, in time to hear that nobody reads it.
    pub fn finish(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdout.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

/// A remark on stderr, lost if nobody listens.
pub fn remark(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// `3.2 MiB`
pub fn bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// `1.2 ms`, `12 s`, `3m04s`, `2h05m`, `3d04h`
pub fn span(time: Duration) -> String {
    let secs = time.as_secs();
    match secs {
        0 if time.as_micros() < 1000 => format!("{} us", time.as_micros()),
        0 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        1..60 => format!("{secs} s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3600..86400 => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
        _ => format!("{}d{:02}h", secs / 86400, secs / 3600 % 24),
    }
}

/// `1 row`, `2 rows`
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// At most six significant digits, as short as they allow.
pub fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return match value {
            v if v.is_nan() => "nan".into(),
            v if v.is_infinite() => if v > 0.0 { "inf" } else { "-inf" }.into(),
            _ => "0".into(),
        };
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..9).contains(&magnitude) {
        return format!("{value:.4e}");
    }
    let text = format!("{value:.*}", (5 - magnitude).clamp(0, 9) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// Several lines (of a traceback, say) as one.
pub fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" | ")
}

/// Words, broken into lines of at most `width` columns.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.into());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (f64::from(0.1f32), "0.1"),
            (-9.81, "-9.81"),
            (123456.0, "123456"),
            (12_345_678.0, "12345678"),
            (1e-5, "1.0000e-5"),
            (6.02e23, "6.0200e23"),
            (0.000_123_4, "0.0001234"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn spans_and_bytes() {
        assert_eq!(span(Duration::from_micros(250)), "250 us");
        assert_eq!(span(Duration::from_secs(184)), "3m04s");
        assert_eq!(span(Duration::from_secs(100_000)), "1d03h");
        assert_eq!([bytes(17), bytes(1 << 20), bytes(3 << 29)], ["17 B", "1.0 MiB", "1.5 GiB"]);
    }

    #[test]
    fn lines_are_joined() {
        assert_eq!(
            one_line("raised:\n  File \"a.py\"\n\n    x = 1\nValueError\n"),
            "raised: | File \"a.py\" | x = 1 | ValueError"
        );
        assert_eq!((one_line("one"), one_line("\n")), ("one".into(), String::new()));
    }

    #[test]
    fn words_are_wrapped() {
        assert_eq!(wrapped("a bb ccc dddd", 6), ["a bb", "ccc", "dddd"]);
        assert_eq!(wrapped("overlong", 3), ["overlong"]);
        assert_eq!(wrapped("", 3), [""]);
    }
}
