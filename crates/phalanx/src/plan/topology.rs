//! What the machine has, and the kernel's notation for cores.

use crate::error::limit_behind;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What the machine has. A core is a number the kernel gives to one hardware thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Topology {
    /// Cores this process may use: the affinity mask without what is offline. The kernel has already
    /// cut the mask to the cgroup's `cpuset.cpus.effective`, so that file is not read.
    pub usable: Vec<usize>,
    /// Isolated cores that are online. The kernel leaves them out of the usual affinity mask, so they
    /// may or may not be among the usable ones; a process can bind itself to them all the same.
    pub isolated: Vec<usize>,
    /// Online cores per NUMA node, by the node's number; empty for a number without cores.
    pub nodes: Vec<Vec<usize>>,
    /// The online cores, grouped by physical core, in the order of their first ones.
    pub siblings: Vec<Vec<usize>>,
    /// The cores' worth of time that the cgroup allows, whichever cores it is spent on; `None` for no limit.
    pub quota: Option<f64>,
}

impl Topology {
    /// Reads the calling thread's affinity mask and `/sys`.
    pub fn read() -> io::Result<Self> {
        let mask = sched_getaffinity(Pid::from_raw(0))?;
        let affinity: Vec<usize> =
            (0..CpuSet::count()).filter(|&core| mask.is_set(core).unwrap_or(false)).collect();
        let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::read_from(Path::new("/sys"), &cgroups, &affinity)
    }

    /// Reads a sysfs tree. What is missing from it (containers, sandboxes) is taken to be simple: all
    /// cores online, none isolated, one node, one hardware thread per physical core, no quota. `cgroups` is the text
    /// of `/proc/self/cgroup`.
    pub fn read_from(sys_root: &Path, cgroups: &str, affinity: &[usize]) -> io::Result<Self> {
        let cpu = sys_root.join("devices/system/cpu");
        let online = match read_list(&cpu.join("online"))? {
            Some(online) => BTreeSet::from_iter(online),
            None => BTreeSet::from_iter(affinity.iter().copied()),
        };
        let is_online = |core: &usize| online.contains(core);
        let isolated = read_list(&cpu.join("isolated"))?.unwrap_or_default();

        let mut nodes: Vec<Vec<usize>> = Vec::new();
        for entry in fs::read_dir(sys_root.join("devices/system/node")).into_iter().flatten() {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("node")?.parse().ok());
            let Some(node) = number.filter(|&node: &usize| node <= MAX_CORE) else { continue };
            if nodes.len() <= node {
                nodes.resize(node + 1, Vec::new());
            }
            let cores = read_list(&entry.path().join("cpulist"))?.unwrap_or_default();
            nodes[node] = cores.into_iter().filter(is_online).collect();
        }
        let placed: BTreeSet<usize> = nodes.iter().flatten().copied().collect();
        let homeless: Vec<usize> = online.difference(&placed).copied().collect();
        if !homeless.is_empty() {
            nodes.resize(nodes.len().max(1), Vec::new());
            nodes[0].extend(homeless);
            nodes[0].sort_unstable();
        }

        let mut siblings: Vec<Vec<usize>> = Vec::new();
        let mut grouped = BTreeSet::<usize>::new();
        for &core in &online {
            if grouped.contains(&core) {
                continue;
            }
            let file = cpu.join(format!("cpu{core}/topology/thread_siblings_list"));
            let mut group = BTreeSet::from_iter(read_list(&file)?.unwrap_or_default());
            group.insert(core);
            group.retain(|core| online.contains(core) && !grouped.contains(core));
            grouped.extend(&group);
            siblings.push(group.into_iter().collect());
        }

        let usable: BTreeSet<usize> = affinity.iter().copied().filter(is_online).collect();
        Ok(Self {
            usable: usable.into_iter().collect(),
            isolated: isolated.into_iter().filter(is_online).collect(),
            nodes,
            siblings,
            quota: quota(&sys_root.join("fs/cgroup"), cgroups),
        })
    }

    pub(super) fn node_of(&self, core: usize) -> usize {
        self.nodes.iter().position(|node| node.contains(&core)).unwrap_or(0)
    }

    /// A core's physical core, and which of its hardware threads it is.
    pub(super) fn place_of(&self, core: usize) -> (usize, usize) {
        let place = |group: &Vec<usize>| group.iter().position(|&sibling| sibling == core);
        let found = self.siblings.iter().enumerate().find_map(|(i, group)| Some((i, place(group)?)));
        found.unwrap_or((self.siblings.len() + core, 0))
    }

    /// Drops all but the first of `cores` on each physical core.
    pub(super) fn thin(&self, cores: &mut Vec<usize>) {
        let mut seen = BTreeSet::new();
        cores.retain(|&core| seen.insert(self.place_of(core).0));
    }
}

/// The least quota from this process' cgroup (of either version) up to the root.
fn quota(root: &Path, cgroups: &str) -> Option<f64> {
    let text = |path: PathBuf| fs::read_to_string(path).ok();
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    // In a container the path may be one of the host's; its root is what counts then.
    let folders = Path::new(own.trim_start_matches('/')).ancestors().map(|folder| root.join(folder));
    let second = folders.filter_map(|folder| parse_quota(&text(folder.join("cpu.max"))?));
    let first = || {
        let read = |name| text(root.join("cpu").join(name))?.trim().parse::<f64>().ok();
        Some(read("cpu.cfs_quota_us")? / read("cpu.cfs_period_us")?)
    };
    second.min_by(f64::total_cmp).or_else(first).filter(|cores| cores.is_finite() && *cores > 0.0)
}

/// `cpu.max`: quota and period in µs, or `max`.
fn parse_quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

/// `None` where there is no such file.
fn read_list(path: &Path) -> io::Result<Option<Vec<usize>>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let text = format!("{}: {error}{}", path.display(), limit_behind(&error));
            return Err(io::Error::new(error.kind(), text));
        }
    };
    let list = parse_cpu_list(&text);
    list.map(Some).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// No machine numbers its cores higher; keeps a mistyped list from filling the memory.
const MAX_CORE: usize = 65_535;

/// Reads the kernel's notation: `"0-3,8,10-11"`; empty for none. Order and repetitions stay.
pub fn parse_cpu_list(text: &str) -> Result<Vec<usize>, CpuListError> {
    let mut cores = Vec::new();
    if text.trim().is_empty() {
        return Ok(cores);
    }
    for part in text.split(',').map(str::trim) {
        let number = |text: &str| text.trim().parse().ok().filter(|&core: &usize| core <= MAX_CORE);
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => cores.extend(first..=last),
            _ => return Err(CpuListError::NotCores { part: part.into() }),
        }
        if cores.len() > MAX_CORE + 1 {
            return Err(CpuListError::TooLong);
        }
    }
    Ok(cores)
}

/// Writes what [`parse_cpu_list`] reads; an empty list is an empty text.
pub fn format_cpu_list(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let run = |run: &[usize]| match run {
        [first, .., last] => format!("{first}-{last}"),
        single => single.iter().map(usize::to_string).collect(),
    };
    runs.map(run).collect::<Vec<_>>().join(",")
}

/// Why a list of cores cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuListError {
    /// One part is neither a core nor a range upwards.
    #[error("{part:?} is no core or range of cores (0 to {MAX_CORE}); write a list like \"0-3,8\"")]
    NotCores {
        /// The part, between commas.
        part: String,
    },
    /// More cores than there can be.
    #[error("a list of more than {MAX_CORE} cores")]
    TooLong,
}

/// Binds the calling thread, and those it will start, to these cores.
pub fn pin_to(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A sysfs tree, given as file names and contents.
    fn sysfs(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join("devices/system").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn topology_of_a_made_up_machine() {
        let root = sysfs(&[
            ("cpu/online", "0-5\n"),
            ("cpu/isolated", "5,7\n"),
            ("cpu/cpu0/topology/thread_siblings_list", "0,3\n"),
            ("cpu/cpu1/topology/thread_siblings_list", "1,4\n"),
            ("cpu/cpu2/topology/thread_siblings_list", "2,6\n"),
            ("node/node0/cpulist", "0,3\n"),
            ("node/node2/cpulist", "1-2,4-6\n"),
            ("node/online", "0,2\n"),
        ]);
        let topology = Topology::read_from(root.path(), "", &[4, 0, 1, 9]).unwrap();
        assert_eq!(topology.usable, [0, 1, 4]);
        assert_eq!(topology.isolated, [5]);
        assert_eq!(topology.nodes, [vec![0, 3], vec![], vec![1, 2, 4, 5]]);
        assert_eq!(topology.siblings, [vec![0, 3], vec![1, 4], vec![2], vec![5]]);
    }

    #[test]
    fn topology_without_sysfs_is_simple() {
        let topology = Topology::read_from(Path::new("/nonexistent"), "0::/\n", &[2, 5]).unwrap();
        assert_eq!(
            topology,
            Topology {
                usable: vec![2, 5],
                isolated: vec![],
                nodes: vec![vec![2, 5]],
                siblings: vec![vec![2], vec![5]],
                quota: None,
            }
        );
        let broken = sysfs(&[("cpu/online", "all of them")]);
        let error = Topology::read_from(broken.path(), "", &[0]).unwrap_err().to_string();
        assert!(error.contains("cpu/online") && error.contains("all of them"), "{error}");
    }

    #[test]
    fn the_least_quota_on_the_way_up_counts() {
        let quota = |cgroups: &str, files: &[(&str, &str)]| {
            let root = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = root.path().join("fs/cgroup").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Topology::read_from(root.path(), cgroups, &[0]).unwrap().quota
        };
        let own = "0::/jobs/mine\n";
        assert_eq!(quota(own, &[]), None);
        assert_eq!(quota(own, &[("jobs/mine/cpu.max", "max 100000\n")]), None);
        let nested = [("jobs/mine/cpu.max", "400000 100000\n"), ("jobs/cpu.max", "150000 100000\n")];
        assert_eq!(quota(own, &nested), Some(1.5));
        assert_eq!(
            quota("0::/../elsewhere\n", &[("cpu.max", "200000 100000")]),
            Some(2.0),
            "a container's root"
        );
        let first = [("cpu/cpu.cfs_quota_us", "50000\n"), ("cpu/cpu.cfs_period_us", "100000\n")];
        assert_eq!(quota("3:cpu:/mine\n", &first), Some(0.5));
        assert_eq!(quota("", &[("cpu/cpu.cfs_quota_us", "-1\n"), first[1]]), None);
        for nonsense in ["", "1", "a b", "1 0", "-1 100000"] {
            assert_eq!(quota(own, &[("cpu.max", nonsense)]), None, "{nonsense:?}");
        }
    }

    #[test]
    fn cpu_lists() {
        assert_eq!(parse_cpu_list("0-3,8,10-11\n").unwrap(), [0, 1, 2, 3, 8, 10, 11]);
        assert!(parse_cpu_list(" \n").unwrap().is_empty());
        for bad in ["3-1", "0,,1", "-1", "a", "0-", "0-99999999999", "1-2-3", "65536"] {
            assert!(matches!(parse_cpu_list(bad), Err(CpuListError::NotCores { .. })), "{bad}");
        }
        assert_eq!(parse_cpu_list("0-65535,0"), Err(CpuListError::TooLong));
    }

    proptest! {
        #[test]
        fn cpu_lists_survive_the_round_trip(cores in prop::collection::vec(0usize..40, 0..60)) {
            prop_assert_eq!(parse_cpu_list(&format_cpu_list(&cores)), Ok(cores));
        }

        #[test]
        fn cpu_lists_never_panic(text in "[0-9, -]{0,20}|.*") {
            let _ = parse_cpu_list(&text);
        }
    }
}
