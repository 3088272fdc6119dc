//! What the system says of itself, read from files.

use std::{fs, path::Path};

/// A small file's text without its line end; `None` if there is no such file.
pub fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The file system type mounted at a folder, the last mount counting.
pub fn mounted_type(folder: &str) -> Option<String> {
    let mounts = text("/proc/self/mounts")?;
    mounts.lines().rev().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        (fields.next()? == folder).then(|| fields.next().map(str::to_owned))?
    })
}

/// Is this a container, as far as its files tell?
pub fn in_container() -> bool {
    Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists()
}

/// logind's setting, from its file and the drop-ins, which win in the order of their names; `None` if unset.
pub fn remove_ipc() -> Option<bool> {
    let mut files: Vec<_> = ["/usr/lib", "/run", "/etc"]
        .iter()
        .flat_map(|root| {
            fs::read_dir(format!("{root}/systemd/logind.conf.d")).into_iter().flatten().flatten()
        })
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "conf"))
        .collect();
    files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    let main = ["/usr/lib/systemd/logind.conf", "/etc/systemd/logind.conf"].map(Into::into);
    main.into_iter().chain(files).filter_map(|path| parse_remove_ipc(&text(path)?)).next_back()
}

fn parse_remove_ipc(text: &str) -> Option<bool> {
    let mut values =
        text.lines().filter_map(|line| line.trim().strip_prefix("RemoveIPC")?.trim_start().strip_prefix('='));
    values
        .next_back()
        .map(|value| !matches!(value.trim().to_lowercase().as_str(), "no" | "false" | "off" | "0"))
}

/// How many cores have which frequency governor, by name.
pub fn governors() -> Vec<(String, usize)> {
    let cores = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let mut found: Vec<_> =
        cores.filter_map(|core| text(core.path().join("cpufreq/scaling_governor"))).collect();
    found.sort();
    found.chunk_by(|a, b| a == b).map(|same| (same[0].clone(), same.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logind_settings() {
        assert_eq!(parse_remove_ipc("[Login]\n#RemoveIPC=yes\n"), None);
        assert_eq!(parse_remove_ipc("[Login]\nRemoveIPC=no\n"), Some(false));
        assert_eq!(parse_remove_ipc("RemoveIPC = Yes\nRemoveIPC=off"), Some(false));
        assert_eq!(parse_remove_ipc("RemoveIPCX=no\nRemoveIPC=yes"), Some(true));
    }
}
