//! The checks, in the order they are told. Each looks, judges, and says what to do.

use super::{Check, system};
use crate::out::{bytes, counted};
use nix::{
    sys::{
        resource::{Resource, getrlimit},
        statvfs::statvfs,
    },
    unistd::{AccessFlags, User, access, geteuid},
};
use phalanx::plan::{Topology, format_cpu_list};
use phalanx_ocp::lanes::Isa;
use phalanx_shm::{Arena, ArenaSpec, ArenaState, Identity, Spin, Waited, Watch, clock, inventory};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

const SHM: &str = "/dev/shm";
const MIB: u64 = 1 << 20;
/// Below this a modest cluster does not fit.
const FREE_FAIL: u64 = 16 * MIB;
/// Below this a large one does not; Docker gives 64 MiB.
const FREE_WARN: u64 = 256 * MIB;
/// Of a server with this many workers: two each, and what a process has anyway.
const DESCRIPTORS_FAIL: u64 = 64;
const DESCRIPTORS_WARN: u64 = 512;
const PROCESSES_WARN: u64 = 256;

pub fn all() -> Vec<Check> {
    let mut checks = vec![version(), shm_size(), shm_mode(), arenas_work(), processes_can_be_watched()];
    checks.extend([descriptors(), processes(), locked_memory(), remove_ipc()]);
    match Topology::read() {
        Ok(topology) => {
            checks.extend([cores(&topology), quota(&topology), isolated(&topology), numa(&topology)])
        }
        Err(e) => checks.push(Check::fail("cores", format!("cannot be read: {e}"), "mount /sys")),
    }
    checks.extend([vectors(), smt(), governor(), clock_source(), huge_pages(), gpu(), leftovers()]);
    checks
}

fn version() -> Check {
    let found = format!("phalanx {}, backend {}", env!("CARGO_PKG_VERSION"), phalanx_shm::BACKEND);
    if cfg!(debug_assertions) {
        return Check::warn(
            "version",
            format!("{found}, a debug build: rounds are slow"),
            "cargo build --release",
        );
    }
    Check::pass("version", found)
}

fn shm_size() -> Check {
    const NAME: &str = "shm size";
    let fix = if system::in_container() {
        "start the container with more, as in `docker run --shm-size=2g` (Docker's default is 64 MB)"
    } else {
        "`sudo mount -o remount,size=4G /dev/shm`"
    };
    let kind = system::mounted_type(SHM);
    let Ok(stat) = statvfs(SHM) else {
        return Check::fail(
            NAME,
            "there is no /dev/shm",
            "`sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm`",
        );
    };
    let free = stat.blocks_available() * stat.fragment_size();
    let total = stat.blocks() * stat.fragment_size();
    let found = format!("{} free of {}", bytes(free), bytes(total));
    match (free, kind.as_deref()) {
        (..FREE_FAIL, _) => Check::fail(NAME, found, format!("{fix}, or `phalanx clean`")),
        (_, Some("tmpfs")) if free >= FREE_WARN => Check::pass(NAME, found),
        (_, Some("tmpfs")) => Check::warn(NAME, format!("{found}: too small for large clusters"), fix),
        (_, other) => {
            let other = other.unwrap_or("no mount of its own");
            let why = format!("{SHM} is {other}, not tmpfs: rounds would write to a disk");
            Check::warn(NAME, why, "`sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm`")
        }
    }
}

fn shm_mode() -> Check {
    const NAME: &str = "shm mode";
    let fix = "`sudo chmod 1777 /dev/shm`";
    let mode = fs::metadata(SHM).map_or(0, |m| m.mode() & 0o7777);
    let found = format!("mode {mode:04o}");
    if access(SHM, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        return Check::fail(NAME, format!("{found}: not for you"), fix);
    }
    match mode {
        0o1777 => Check::pass(NAME, found),
        _ => Check::warn(
            NAME,
            format!("{found}, not 1777: other users are locked out, or can remove your arenas"),
            fix,
        ),
    }
}

/// Makes an arena, waits at a gate in it, removes it: the very calls a cluster makes.
fn arenas_work() -> Check {
    const NAME: &str = "arena";
    let name = format!("doctor-{}", std::process::id());
    let spec = ArenaSpec::new().gates("gates", 1);
    let tried = Arena::create(&name, &spec).and_then(|draft| {
        draft.init_gates("gates")?;
        let arena = draft.publish();
        let gate = arena.gate("gates", 0)?;
        let deadline = Instant::now() + Duration::from_millis(2);
        let waited = gate.wait(gate.value(), &mut Spin::new(Duration::ZERO), Some(deadline));
        Ok((waited, deadline.elapsed()))
    });
    match tried {
        Ok((Waited::TimedOut, late)) => Check::pass(
            NAME,
            format!("made, waited at, removed; a 2 ms sleep ended {} us late", late.as_micros()),
        ),
        Ok(_) => Check::fail(NAME, "waiting does not wait", "does the kernel have futex? (uname -r)"),
        Err(e) => Check::fail(NAME, e.to_string(), "as the message says; no cluster can start before"),
    }
}

fn processes_can_be_watched() -> Check {
    const NAME: &str = "pidfd";
    let kernel = system::text("/proc/sys/kernel/osrelease").unwrap_or_default();
    match Watch::new(Identity::me()) {
        Ok(Some(watch)) if watch.descriptor().is_some() => {
            Check::pass(NAME, format!("deaths are noticed at once (kernel {kernel})"))
        }
        Ok(Some(_)) => Check::warn(NAME, "deaths are polled for", "use the linux backend of phalanx-shm"),
        Ok(None) => Check::fail(NAME, "this process cannot see itself", "mount /proc"),
        Err(e) => Check::fail(
            NAME,
            e.to_string(),
            format!("Linux 5.3 or later, and no filter on pidfd_open (kernel {kernel})"),
        ),
    }
}

fn limit(resource: Resource) -> (u64, String) {
    let soft = getrlimit(resource).map_or(u64::MAX, |(soft, _)| soft);
    (soft, if soft == u64::MAX { "unlimited".into() } else { soft.to_string() })
}

fn descriptors() -> Check {
    let (soft, text) = limit(Resource::RLIMIT_NOFILE);
    let fix = "`ulimit -n 4096`, or LimitNOFILE= of the service";
    if soft < DESCRIPTORS_FAIL {
        return Check::fail("descriptors", format!("{text}: too few"), fix);
    }
    if soft < DESCRIPTORS_WARN {
        return Check::warn("descriptors", format!("{text}: few for many workers"), fix);
    }
    Check::pass("descriptors", text)
}

fn processes() -> Check {
    let (soft, text) = limit(Resource::RLIMIT_NPROC);
    match soft {
        ..PROCESSES_WARN => {
            Check::warn("processes", format!("{text}: few for many workers"), "`ulimit -u 4096`")
        }
        _ => Check::pass("processes", text),
    }
}

fn locked_memory() -> Check {
    let (soft, text) = limit(Resource::RLIMIT_MEMLOCK);
    let text = if soft == u64::MAX { text } else { bytes(soft) };
    Check::info("locked memory", format!("{text}; counts only where a GPU locks the arena's pages"))
}

fn remove_ipc() -> Check {
    const NAME: &str = "RemoveIPC";
    if !Path::new("/run/systemd/system").exists() {
        return Check::pass(NAME, "no systemd");
    }
    let uid = geteuid();
    if uid.as_raw() < 1000 {
        return Check::pass(NAME, "does not concern system users");
    }
    let user = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    if Path::new("/var/lib/systemd/linger").join(&user).exists() {
        return Check::pass(NAME, "does not concern lingering users");
    }
    match system::remove_ipc() {
        Some(false) => Check::pass(NAME, "no"),
        set => Check::warn(
            NAME,
            format!(
                "{}: when your last session ends, logind removes the shared memory of what still runs",
                if set.is_some() { "yes" } else { "unset, which mostly means yes" }
            ),
            format!("`sudo loginctl enable-linger {user}`, or RemoveIPC=no in /etc/systemd/logind.conf"),
        ),
    }
}

fn cores(topology: &Topology) -> Check {
    const NAME: &str = "cores";
    let (usable, online) = (topology.usable.len(), topology.siblings.iter().flatten().count());
    let list = format_cpu_list(&topology.usable);
    if usable < online {
        return Check::info(
            NAME,
            format!("{list}: {usable} of {online}; affinity or a cpuset keeps from the others"),
        );
    }
    if online == 1 {
        let fix = "expect no parallel rounds; a second core serves the simulator";
        return Check::warn(NAME, "one, for simulator and workers together", fix);
    }
    Check::pass(NAME, format!("{list}: {usable}"))
}

fn quota(topology: &Topology) -> Check {
    const NAME: &str = "cpu quota";
    match topology.quota {
        Some(cores) if cores < topology.usable.len() as f64 => Check::warn(
            NAME,
            format!(
                "{cores:.1} cores' worth of time on {} cores: the kernel stops the workers for the rest of each period",
                topology.usable.len()
            ),
            format!(
                "raise the container's CPU limit, or `serve --workers {}` (default: rounded up)",
                cores.floor().max(1.0)
            ),
        ),
        Some(cores) => Check::pass(NAME, format!("{cores:.1} cores' worth of time")),
        None => Check::pass(NAME, "none"),
    }
}

fn isolated(topology: &Topology) -> Check {
    let found = match &topology.isolated[..] {
        [] => "none".into(),
        cores => format!("{}: `serve --cores isolated` uses them", format_cpu_list(cores)),
    };
    Check::info("isolated", found)
}

fn numa(topology: &Topology) -> Check {
    let nodes: Vec<_> = topology.nodes.iter().filter(|cores| !cores.is_empty()).collect();
    let cores: Vec<_> = nodes.iter().map(|cores| format_cpu_list(cores)).collect();
    Check::info("NUMA", format!("{}, with cores {}", counted(nodes.len(), "node"), cores.join(" and ")))
}

/// What the native controllers compute with on this CPU.
fn vectors() -> Check {
    const NAME: &str = "vectors";
    match Isa::widest() {
        Isa::Plain => Check::warn(
            NAME,
            "no AVX2: native controllers solve row by row, without fused multiply-add",
            "a CPU, or a virtual machine, that shows AVX2 and FMA (x86-64-v3)",
        ),
        isa => Check::pass(NAME, format!("{isa:?}: native controllers solve {} rows at once", isa.lanes())),
    }
}

fn smt() -> Check {
    let found = match system::text("/sys/devices/system/cpu/smt/active").as_deref() {
        Some("1") => "on: two threads share a core; `[cpu] smt = false` uses one of each",
        Some(_) => "off",
        None => "unknown",
    };
    Check::info("SMT", found)
}

fn governor() -> Check {
    const NAME: &str = "governor";
    let governors = system::governors();
    let found: Vec<_> =
        governors.iter().map(|(name, n)| format!("{name} on {}", counted(*n, "core"))).collect();
    match &governors[..] {
        [] => Check::info(NAME, "none here: a virtual machine, or a fixed frequency"),
        [(name, _)] if name == "performance" => Check::pass(NAME, found.join(", ")),
        _ => Check::warn(
            NAME,
            format!("{}: clocks rise late, solve times vary", found.join(", ")),
            "`sudo cpupower frequency-set -g performance`",
        ),
    }
}

fn clock_source() -> Check {
    const NAME: &str = "clock";
    let source = system::text("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let source = source.unwrap_or_else(|| "unknown source".into());
    const READS: u64 = 2000;
    let began = clock::now_ns();
    for _ in 0..READS {
        std::hint::black_box(clock::now_ns());
    }
    let cost = clock::now_ns().saturating_sub(began) / READS;
    let found = format!("{source}, {cost} ns a reading");
    match source.as_str() {
        "hpet" | "acpi_pm" | "jiffies" | "pit" => Check::warn(
            NAME,
            format!("{found}: each reading is a slow system call"),
            "boot with clocksource=tsc tsc=reliable, if the machine's TSC can be trusted",
        ),
        _ => Check::pass(NAME, found),
    }
}

fn huge_pages() -> Check {
    let setting = system::text("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
    let chosen = setting.as_deref().and_then(|s| s.split(['[', ']']).nth(1)).unwrap_or("unknown");
    Check::info("huge pages", format!("shared memory: {chosen}"))
}

fn gpu() -> Check {
    let found = match system::text("/proc/driver/nvidia/version") {
        Some(text) => text.lines().next().unwrap_or_default().trim_start_matches("NVRM version: ").to_owned(),
        None => "no NVIDIA driver; tensors stay on the CPU".into(),
    };
    Check::info("GPU", found)
}

fn leftovers() -> Check {
    const NAME: &str = "leftovers";
    let me = geteuid().as_raw();
    let files: Vec<_> = inventory().into_iter().filter(|f| f.name.uid() == me).collect();
    let dead = files.iter().filter(|f| matches!(f.state, ArenaState::Dead(_) | ArenaState::Abandoned));
    let odd =
        files.iter().filter(|f| matches!(f.state, ArenaState::Corrupt(_) | ArenaState::WrongVersion(_)));
    let (dead, odd): (Vec<_>, Vec<_>) = (dead.collect(), odd.collect());
    let size: u64 = dead.iter().chain(&odd).map(|f| f.bytes).sum();
    let names: Vec<_> = dead.iter().chain(&odd).map(|f| f.name.as_str()).collect();
    let found = format!("{} in {} ({})", bytes(size), counted(names.len(), "dead cluster"), names.join(", "));
    match (names.is_empty(), odd.is_empty()) {
        (true, _) => Check::pass(NAME, "none"),
        (false, true) => Check::warn(NAME, found, "`phalanx clean`"),
        (false, false) => Check::warn(NAME, found, "`phalanx clean --force`"),
    }
}
