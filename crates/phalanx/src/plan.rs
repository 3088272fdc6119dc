//! The CPU plan: how many workers, which rows each hosts, and on which cores.
//!
//! [`Topology::read`] looks at the machine, [`CpuPlan::new`] decides; the plan prints itself.

mod topology;

pub use topology::{CpuListError, Topology, format_cpu_list, parse_cpu_list, pin_to};

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The section `[cpu]` of a cluster's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CpuConfig {
    /// Worker processes. Default: as many as the cores hold after the reserve, and no more than the cgroup's CPU
    /// quota, rounded up, has time for. Never more than rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Threads per worker, each counted as one core. Default: 1.
    pub threads: usize,
    /// The cores that workers may use. Default: "auto".
    pub cores: CoreChoice,
    /// Cores left for the simulator: first those that `cores` leaves out, then whole physical cores
    /// from the lowest up. Default: 0.
    pub reserve: usize,
    /// Whether each worker is bound to its own cores. Default: false. Implied where `cores` are chosen.
    pub pin: bool,
    /// Whether workers are spread evenly over NUMA nodes, each within one. Default: true.
    pub numa: bool,
    /// Whether both hardware threads of a physical core may be used. Default: true.
    pub smt: bool,
}

impl Default for CpuConfig {
    fn default() -> Self {
        Self {
            workers: None,
            threads: 1,
            cores: CoreChoice::Auto,
            reserve: 0,
            pin: false,
            numa: true,
            smt: true,
        }
    }
}

/// Which cores the workers may use: `"auto"`, `"isolated"`, a list such as `"0-3,8"`, or `[0, 1, 8]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CoreChoice {
    /// All that this process may use.
    #[default]
    Auto,
    /// Those that the kernel keeps free of other work (`isolcpus=`).
    Isolated,
    /// These, in this order of preference.
    List(Vec<usize>),
}

impl FromStr for CoreChoice {
    type Err = CpuListError;

    fn from_str(text: &str) -> Result<Self, CpuListError> {
        match text.trim() {
            "auto" => Ok(CoreChoice::Auto),
            "isolated" => Ok(CoreChoice::Isolated),
            list => parse_cpu_list(list).map(CoreChoice::List),
        }
    }
}

impl Serialize for CoreChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            CoreChoice::Auto => serializer.serialize_str("auto"),
            CoreChoice::Isolated => serializer.serialize_str("isolated"),
            CoreChoice::List(cores) => cores.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CoreChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not serde's `untagged`, whose only message is that no variant fits.
        struct Choice;
        impl<'de> Visitor<'de> for Choice {
            type Value = CoreChoice;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, r#""auto", "isolated", a list such as "0-3,8", or an array of core numbers"#)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CoreChoice, E> {
                text.parse().map_err(|error| E::custom(format!("{error}, \"auto\" or \"isolated\"")))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<CoreChoice, A::Error> {
                let mut cores = Vec::new();
                while let Some(core) = seq.next_element()? {
                    cores.push(core);
                }
                Ok(CoreChoice::List(cores))
            }
        }
        deserializer.deserialize_any(Choice)
    }
}

/// One worker's share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerPlan {
    /// Number of the worker, from 0.
    pub index: usize,
    /// The rows it hosts.
    pub rows: Range<usize>,
    /// The cores meant for its threads; shared with other workers where there are too few.
    pub cores: Vec<usize>,
    /// The NUMA node of its first core.
    pub node: usize,
}

/// Who runs where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuPlan {
    /// The workers, with contiguous rows that differ by one at most.
    pub workers: Vec<WorkerPlan>,
    /// Usable cores that no worker's thread is meant for. Without one for the client, spinning does
    /// harm: it keeps the very workers from running that it waits for.
    pub spare_cores: usize,
    /// Cores left for the simulator.
    pub reserved: Vec<usize>,
    /// Whether workers bind themselves to their cores.
    pub pin: bool,
    /// What the user might not expect.
    pub notes: Vec<String>,
}

impl CpuPlan {
    /// Plans for a cluster of `rows` rows.
    pub fn new(config: &CpuConfig, topology: &Topology, rows: usize) -> Result<Self, PlanError> {
        for (what, count) in [("rows", rows), ("threads", config.threads)] {
            if count == 0 {
                return Err(PlanError::Zero { what });
            }
        }
        let mut notes = Vec::new();
        let pool = Pool::new(config, topology, &mut notes)?;
        let nodes = pool.by_node(config.numa, topology);
        let slots: usize = nodes.iter().map(|cores| cores.len() / config.threads).sum();
        let time = topology.quota.map(|cores| cores.ceil() as usize);
        let timed =
            time.map_or(slots, |time| (time.saturating_sub(config.reserve) / config.threads).min(slots));

        let wanted = match config.workers {
            Some(0) => return Err(PlanError::Zero { what: "workers" }),
            Some(workers) => workers,
            None => timed.max(1),
        };
        if let Some(quota) = topology.quota.filter(|_| config.workers.is_none() && timed < slots.min(rows)) {
            notes.push(format!(
                "{}, for the cgroup's CPU quota is {quota:.1} cores' worth of time",
                counted(wanted.min(rows), "worker")
            ));
        }
        if config.workers.is_some() && wanted > rows {
            notes.push(format!("{wanted} workers asked for, {rows} planned: one per row"));
        }
        let count = wanted.min(rows);
        if count > slots {
            notes.push(format!(
                "oversubscribed: {} on cores {}",
                counted(count.saturating_mul(config.threads), "thread"),
                format_cpu_list(&pool.cores)
            ));
        }

        let mut workers = Vec::new();
        for (cores, members) in nodes.iter().zip(spread(&nodes, config.threads, count)) {
            let threads = config.threads.min(cores.len());
            for first in (0..members).map(|member| member * threads) {
                let index = workers.len();
                let core = |thread| cores[(first + thread) % cores.len()];
                workers.push(WorkerPlan {
                    index,
                    rows: slice(rows, count, index),
                    cores: (0..threads).map(core).collect(),
                    node: topology.node_of(core(0)),
                });
            }
        }

        let used: BTreeSet<usize> = workers.iter().flat_map(|worker| worker.cores.iter().copied()).collect();
        let spare_cores = pool.usable.difference(&used).count();
        // Whoever spins spends of the quota, too.
        let spare_time = topology.quota.map_or(usize::MAX, |cores| cores as usize).saturating_sub(used.len());
        let spare_cores = spare_cores.min(spare_time);
        let chosen = config.cores != CoreChoice::Auto;
        if chosen && !config.pin {
            notes.push("workers are pinned, since their cores were chosen".into());
        }
        Ok(Self { workers, spare_cores, reserved: pool.reserved, pin: config.pin || chosen, notes })
    }
}

/// The cores, before they are dealt out.
struct Pool {
    /// Those for workers, best first.
    cores: Vec<usize>,
    reserved: Vec<usize>,
    /// Those this process may use; one per physical core where SMT is off.
    usable: BTreeSet<usize>,
}

impl Pool {
    fn new(config: &CpuConfig, topology: &Topology, notes: &mut Vec<String>) -> Result<Self, PlanError> {
        let mut cores = match &config.cores {
            CoreChoice::Auto => topology.usable.clone(),
            CoreChoice::Isolated if topology.isolated.is_empty() => return Err(PlanError::NoIsolated),
            CoreChoice::Isolated => topology.isolated.clone(),
            CoreChoice::List(list) => checked_list(list, topology)?,
        };
        let mut all = cores.clone();
        all.extend(topology.usable.iter().filter(|core| !cores.contains(core)));
        if !config.smt {
            let chosen = cores.len();
            topology.thin(&mut all);
            cores.retain(|core| all.contains(core));
            if cores.len() < chosen && config.cores != CoreChoice::Auto {
                notes.push(format!("smt = false leaves cores {}", format_cpu_list(&cores)));
            }
        }

        if config.reserve >= all.len() {
            return Err(PlanError::Reserve { reserve: config.reserve, cores: all.len() });
        }
        all.sort_by_key(|&core| (cores.contains(&core), topology.place_of(core)));
        let reserved = all[..config.reserve].to_vec();
        cores.retain(|core| !reserved.contains(core));
        if !matches!(config.cores, CoreChoice::List(_)) {
            // One hardware thread of every physical core, before any second one.
            cores.sort_by_key(|&core| {
                let (physical, thread) = topology.place_of(core);
                (thread, physical)
            });
        }
        let usable = all.into_iter().filter(|core| topology.usable.contains(core)).collect();
        Ok(Self { cores, reserved, usable })
    }

    /// The cores, in groups of which a worker's must not straddle two.
    fn by_node(&self, numa: bool, topology: &Topology) -> Vec<Vec<usize>> {
        let mut nodes = vec![Vec::new(); topology.nodes.len().max(1)];
        for &core in &self.cores {
            nodes[if numa { topology.node_of(core) } else { 0 }].push(core);
        }
        nodes.retain(|cores| !cores.is_empty());
        nodes
    }
}

fn checked_list(list: &[usize], topology: &Topology) -> Result<Vec<usize>, PlanError> {
    if list.is_empty() {
        return Err(PlanError::Zero { what: "cores" });
    }
    let mut seen = BTreeSet::new();
    for &core in list {
        let Topology { usable, isolated, nodes, .. } = topology;
        if !seen.insert(core) {
            return Err(PlanError::RepeatedCore { core });
        }
        if usable.contains(&core) || isolated.contains(&core) {
            continue;
        }
        return Err(match nodes.iter().any(|node| node.contains(&core)) {
            true => PlanError::NotUsable { core, usable: format_cpu_list(usable) },
            false => {
                let online: BTreeSet<usize> = nodes.iter().flatten().chain(usable).copied().collect();
                let online: Vec<usize> = online.into_iter().collect();
                PlanError::NoSuchCore { core, online: format_cpu_list(&online) }
            }
        });
    }
    Ok(list.to_vec())
}

/// Workers per node, in proportion to what each has room for.
fn spread(nodes: &[Vec<usize>], threads: usize, workers: usize) -> Vec<usize> {
    let room: Vec<usize> = nodes.iter().map(|cores| cores.len() / threads).collect();
    let room = if room.iter().all(|&room| room == 0) { vec![1; nodes.len()] } else { room };
    let mut counts = vec![0; nodes.len()];
    for _ in 0..workers {
        // The node that would be the least full with one more; the lowest of equals.
        let fullness = |a: usize, b: usize| ((counts[a] + 1) * room[b]).cmp(&((counts[b] + 1) * room[a]));
        let open = (0..nodes.len()).filter(|&node| room[node] > 0);
        if let Some(node) = open.min_by(|&a, &b| fullness(a, b)) {
            counts[node] += 1;
        }
    }
    counts
}

/// The rows of one of `count` slices that differ by one row at most.
fn slice(rows: usize, count: usize, index: usize) -> Range<usize> {
    let (least, larger) = (rows / count, rows % count);
    let start = index * least + index.min(larger);
    start..start + least + usize::from(index < larger)
}

/// The plan as a table.
impl fmt::Display for CpuPlan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{}{}, {}",
            counted(self.workers.len(), "worker"),
            if self.pin { " (pinned)" } else { "" },
            counted(self.spare_cores, "spare core")
        )?;
        if !self.reserved.is_empty() {
            write!(f, ", for the simulator {}", format_cpu_list(&self.reserved))?;
        }
        let rows = |worker: &WorkerPlan| format!("{}..{}", worker.rows.start, worker.rows.end);
        let width = self.workers.iter().map(|worker| rows(worker).len()).max().unwrap_or(0).max(4);
        write!(f, "\n  worker  {:<width$}  node  cores", "rows")?;
        for worker in &self.workers {
            let WorkerPlan { index, node, cores, .. } = worker;
            let cores = format_cpu_list(cores);
            write!(f, "\n  {index:>6}  {:<width$}  {node:>4}  {cores}", rows(worker))?;
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n  note: {note}"))
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Why no plan can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A count that must be 1 at least.
    #[error("0 {what}; give 1 at least")]
    Zero {
        /// Of what.
        what: &'static str,
    },
    /// A core in the list that is not there.
    #[error("core {core} does not exist or is offline; online are {online}")]
    NoSuchCore {
        /// The core.
        core: usize,
        /// Those that are online.
        online: String,
    },
    /// A core in the list that this process is kept from.
    #[error(
        "core {core} is not usable: this process is confined to {usable}; \
         widen its affinity (taskset) or cpuset, or list other cores"
    )]
    NotUsable {
        /// The core.
        core: usize,
        /// Those that are usable.
        usable: String,
    },
    /// A core listed twice.
    #[error("core {core} is listed twice; list it once, or ask for more workers to share it")]
    RepeatedCore {
        /// The core.
        core: usize,
    },
    /// Isolated cores asked for on a machine without any.
    #[error("no core is isolated; boot with isolcpus=, or set cores to \"auto\" or a list")]
    NoIsolated,
    /// Nothing left for the workers.
    #[error("reserve {reserve} leaves no core for the workers, of {cores} there are; lower it")]
    Reserve {
        /// Cores to reserve.
        reserve: usize,
        /// Cores there are.
        cores: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One node per number of cores, numbered through; no second hardware threads.
    fn machine(nodes: &[usize]) -> Topology {
        let mut cores = 0..nodes.iter().sum();
        Topology {
            usable: cores.clone().collect(),
            isolated: Vec::new(),
            siblings: cores.clone().map(|core| vec![core]).collect(),
            nodes: nodes.iter().map(|&count| cores.by_ref().take(count).collect()).collect(),
            quota: None,
        }
    }

    /// Four physical cores: 0 and 4 are the threads of the first one, and so on.
    fn smt() -> Topology {
        Topology { siblings: (0..4).map(|core| vec![core, core + 4]).collect(), ..machine(&[8]) }
    }

    fn config(text: &str) -> CpuConfig {
        toml::from_str(text).unwrap()
    }

    fn plan(text: &str, topology: &Topology, rows: usize) -> CpuPlan {
        CpuPlan::new(&config(text), topology, rows).unwrap()
    }

    fn cores(plan: &CpuPlan) -> Vec<&[usize]> {
        plan.workers.iter().map(|worker| worker.cores.as_slice()).collect()
    }

    fn refused(text: &str, topology: &Topology) -> PlanError {
        CpuPlan::new(&config(text), topology, 64).unwrap_err()
    }

    #[test]
    fn by_default_one_worker_per_core() {
        let plan = plan("", &machine(&[4]), 10);
        let rows: Vec<_> = plan.workers.iter().map(|worker| worker.rows.clone()).collect();
        assert_eq!(rows, [0..3, 3..6, 6..8, 8..10]);
        assert_eq!(cores(&plan), [[0], [1], [2], [3]]);
        assert_eq!((plan.spare_cores, plan.pin, plan.notes.len()), (0, false, 0));
    }

    #[test]
    fn never_more_workers_than_rows() {
        let few = plan("", &machine(&[8]), 2);
        assert_eq!((few.workers.len(), few.spare_cores, few.notes.len()), (2, 6, 0));
        let clamped = plan("workers = 5", &machine(&[8]), 2);
        assert_eq!(clamped.notes, ["5 workers asked for, 2 planned: one per row"]);
    }

    #[test]
    fn a_quota_bounds_the_default() {
        let limited = |cores| Topology { quota: Some(cores), ..machine(&[16]) };
        let one = plan("", &limited(3.5), 64);
        assert_eq!((one.workers.len(), one.spare_cores), (4, 0), "nobody may spin");
        assert_eq!(one.notes, ["4 workers, for the cgroup's CPU quota is 3.5 cores' worth of time"]);
        assert_eq!(plan("reserve = 1", &limited(3.5), 64).workers.len(), 3);
        assert_eq!(plan("threads = 2", &limited(4.0), 64).workers.len(), 2);
        assert_eq!(plan("", &limited(0.2), 64).workers.len(), 1);
        assert_eq!(plan("workers = 8", &limited(3.5), 64).workers.len(), 8, "who says so gets it");
        let wide = plan("workers = 2", &limited(4.0), 64);
        assert_eq!((wide.workers.len(), wide.spare_cores), (2, 2));
        assert!(plan("", &limited(64.0), 64).notes.is_empty() && plan("", &limited(3.5), 2).notes.is_empty());
    }

    #[test]
    fn reserved_cores_are_left_alone() {
        let one = plan("reserve = 1", &machine(&[4]), 64);
        assert_eq!((one.reserved.as_slice(), one.spare_cores, one.workers.len()), (&[0][..], 1, 3));
        let physical = plan("reserve = 2", &smt(), 64);
        assert_eq!(physical.reserved, [0, 4], "both threads of one physical core");
        let listed = plan("reserve = 2\ncores = '0-1'", &machine(&[4]), 64);
        assert_eq!(listed.reserved, [2, 3], "what the list leaves is enough");
        assert_eq!(cores(&listed), [[0], [1]]);
        assert_eq!(refused("reserve = 4", &machine(&[4])), PlanError::Reserve { reserve: 4, cores: 4 });
    }

    #[test]
    fn hardware_threads() {
        assert_eq!(cores(&plan("workers = 5", &smt(), 64)), [[0], [1], [2], [3], [4]]);
        assert_eq!(cores(&plan("threads = 2", &smt(), 64)), [[0, 1], [2, 3], [4, 5], [6, 7]]);
        assert_eq!(cores(&plan("smt = false", &smt(), 64)), [[0], [1], [2], [3]]);
        let listed = plan("smt = false\ncores = [6, 2, 1]", &smt(), 64);
        assert_eq!((cores(&listed), listed.spare_cores), (vec![&[6][..], &[1]], 2));
        assert!(listed.notes[0].contains("6,1"));
        let reserved = plan("smt = false\nreserve = 1", &smt(), 64);
        assert_eq!((reserved.reserved.as_slice(), reserved.workers.len()), (&[0][..], 3));
    }

    #[test]
    fn nodes_are_filled_evenly_and_not_straddled() {
        let machine = machine(&[4, 0, 4]);
        let four = plan("workers = 4", &machine, 64);
        assert_eq!(cores(&four), [[0], [1], [4], [5]]);
        assert_eq!(four.workers.iter().map(|worker| worker.node).collect::<Vec<_>>(), [0, 0, 2, 2]);
        assert_eq!(cores(&plan("threads = 3", &machine, 64)), [[0, 1, 2], [4, 5, 6]]);
        assert_eq!(
            cores(&plan("threads = 3\nnuma = false\nworkers = 2", &machine, 64)),
            [[0, 1, 2], [3, 4, 5]]
        );
        assert_eq!(spread(&[vec![0; 12], vec![0; 4]], 1, 8), [6, 2]);
    }

    #[test]
    fn oversubscription_is_allowed_and_noted() {
        let plan = plan("workers = 5", &machine(&[2]), 64);
        assert_eq!(cores(&plan), [[0], [1], [0], [1], [0]]);
        assert_eq!(plan.notes, ["oversubscribed: 5 threads on cores 0-1"]);
        let wide = CpuPlan::new(&config("threads = 3"), &machine(&[2]), 64).unwrap();
        assert_eq!((cores(&wide), wide.notes.len()), (vec![&[0, 1][..]], 1));
    }

    #[test]
    fn chosen_cores_are_checked_and_pinned() {
        let confined = Topology { usable: vec![0, 1], isolated: vec![3], ..machine(&[4]) };
        let listed = plan("cores = [3, 1]", &confined, 64);
        assert_eq!((cores(&listed), listed.pin, listed.spare_cores), (vec![&[3][..], &[1]], true, 1));
        assert_eq!(cores(&plan("cores = 'isolated'", &confined, 64)), [[3]]);
        assert_eq!(refused("cores = 'isolated'", &machine(&[4])), PlanError::NoIsolated);
        assert_eq!(refused("cores = [2]", &confined), PlanError::NotUsable { core: 2, usable: "0-1".into() });
        assert_eq!(
            refused("cores = [9]", &confined),
            PlanError::NoSuchCore { core: 9, online: "0-3".into() }
        );
        assert_eq!(refused("cores = [1, 1]", &confined), PlanError::RepeatedCore { core: 1 });
        assert_eq!(refused("cores = []", &confined), PlanError::Zero { what: "cores" });
        assert_eq!(refused("workers = 0", &confined), PlanError::Zero { what: "workers" });
        assert_eq!(refused("threads = 0", &confined), PlanError::Zero { what: "threads" });
        assert!(CpuPlan::new(&CpuConfig::default(), &confined, 0).is_err());
    }

    #[test]
    fn the_configuration_is_data() {
        assert_eq!(config(""), CpuConfig::default());
        for text in ["cores = 'auto'", "cores = 'isolated'", "cores = '0-3,8'", "cores = [0]\nworkers = 2"] {
            let config = config(text);
            assert_eq!(toml::from_str::<CpuConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        }
        let refused = |text| toml::from_str::<CpuConfig>(text).unwrap_err().to_string();
        assert!(refused("cores = 'atuo'").contains("\"isolated\""), "{}", refused("cores = 'atuo'"));
        assert!(refused("cores = 3").contains("array of core numbers"));
        assert!(refused("worker = 3").contains("worker"));
    }

    #[test]
    fn the_plan_is_readable() {
        let plan = plan("workers = 3\nthreads = 2\nreserve = 1", &machine(&[4, 4]), 1024);
        assert_eq!(
            plan.to_string(),
            "3 workers, 2 spare cores, for the simulator 0\n  \
               worker  rows       node  cores\n       \
                    0  0..342        0  1-2\n       \
                    1  342..683      1  4-5\n       \
                    2  683..1024     1  6-7"
        );
    }

    #[test]
    fn this_machine_can_be_planned_for() {
        let topology = Topology::read().unwrap();
        assert!(!topology.usable.is_empty());
        let plan = CpuPlan::new(&CpuConfig::default(), &topology, 1000).unwrap();
        let time = topology.quota.map_or(usize::MAX, |cores| cores.ceil() as usize);
        assert_eq!(plan.workers.len(), topology.usable.len().min(1000).min(time));
    }

    proptest! {
        #[test]
        fn every_plan_holds_its_promises(
            nodes in prop::collection::vec(0usize..9, 1..4),
            workers in prop::option::of(1usize..20),
            threads in 1usize..4,
            reserve in 0usize..4,
            rows in 1usize..50,
            numa: bool,
        ) {
            let topology = machine(&nodes);
            let config = CpuConfig { workers, threads, reserve, numa, ..CpuConfig::default() };
            let total = topology.usable.len();
            let plan = match CpuPlan::new(&config, &topology, rows) {
                Ok(plan) => plan,
                Err(error) => {
                    prop_assert_eq!(error, PlanError::Reserve { reserve, cores: total });
                    prop_assert!(reserve >= total);
                    return Ok(());
                }
            };
            prop_assert_eq!(plan.reserved.len(), reserve);
            let mut next = 0;
            let mut used = Vec::new();
            for (index, worker) in plan.workers.iter().enumerate() {
                prop_assert_eq!((worker.index, worker.rows.start), (index, next));
                next = worker.rows.end;
                let count = plan.workers.len();
                prop_assert!([rows / count, rows.div_ceil(count)].contains(&worker.rows.len()));
                prop_assert!(!worker.cores.is_empty() && worker.cores.len() <= threads);
                for core in &worker.cores {
                    prop_assert!(!plan.reserved.contains(core));
                    prop_assert!(!numa || topology.node_of(*core) == worker.node);
                }
                used.extend(worker.cores.iter().copied());
            }
            prop_assert_eq!(next, rows);
            let threads_planned = used.len();
            used.sort_unstable();
            used.dedup();
            prop_assert_eq!(plan.spare_cores, total - used.len());
            if plan.notes.is_empty() {
                prop_assert_eq!(threads_planned, used.len(), "cores are shared without a note");
            }
        }
    }
}
