//! Where figures were taken.

use std::{
    fs,
    process::Command,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

/// Everything a reader needs to judge whether two figures may be compared.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model name of the first core.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Compiler that built this program.
    pub rustc: &'static str,
    /// Commit of the working directory, `-dirty` when files differ from it.
    pub commit: String,
    /// Now, UTC, ISO 8601.
    pub date: String,
}

impl Machine {
    /// A folder name that is stable on one machine and says nothing about whose it is.
    pub fn slug(&self) -> String {
        let words: Vec<_> =
            self.cpu.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        format!("{}-{}c", words.join("-").to_lowercase(), self.cores)
    }
}

/// This machine, now.
pub fn machine() -> Machine {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Machine {
        cpu: cpu().unwrap_or_else(unknown),
        cores: thread::available_parallelism().map_or(1, Into::into),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
            .map_or_else(|_| unknown(), |s| s.trim().into()),
        rustc: env!("PHALANX_RUSTC"),
        commit: git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
            .unwrap_or_else(unknown),
        date: iso_utc(now.as_secs()),
    }
}

fn unknown() -> String {
    "unknown".into()
}

fn cpu() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn git(args: &[&str]) -> Option<String> {
    let out = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?.trim().to_owned();
    (out.status.success() && !text.is_empty()).then_some(text)
}

/// Seconds since 1970 as `YYYY-MM-DDThh:mm:ssZ`.
fn iso_utc(secs: u64) -> String {
    // Years are counted from March, so that a leap day ends its year and months have a closed form.
    let days = secs / 86_400 + 719_468; // days from 0000-03-01 to 1970-01-01
    let (era, day) = (days / 146_097, days % 146_097); // 400 years each
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let (year, time) = (era * 400 + year + carry, secs % 86_400);
    format!("{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::iso_utc;

    #[test]
    fn dates_around_leap_days() {
        assert_eq!(iso_utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso_utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(iso_utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(iso_utc(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(iso_utc(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
