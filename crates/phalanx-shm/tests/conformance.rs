//! What every backend keeps to, with real processes, kills, and a full /dev/shm.
//!
//! ```sh
//! cargo nextest run -p phalanx-shm --test conformance
//! cargo nextest run -p phalanx-shm --test conformance --features portable
//! ```
#![cfg(not(loom))]

#[path = "helper/mod.rs"]
mod helper;

use helper::{Helper, name, say, stay};
use nix::{
    sys::resource::{Resource, setrlimit},
    unistd::{chown, geteuid},
};
use phalanx_shm::{
    Arena, ArenaName, ArenaReader, ArenaSpec, ArenaState, Boot, Dtype, Element, Identity, ShmError, Spin,
    Waited, Watch, f16, header, inspect, inventory, reclaim,
    sync::Ordering::{Acquire, Relaxed, Release},
};
use std::{
    fs::{self, File},
    io::Write,
    os::unix::{
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
        process::ExitStatusExt,
    },
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// Descriptors an attachment holds.
const HELD: usize = if cfg!(feature = "portable") { 1 } else { 0 };
/// Does an arena own its memory before it is touched?
const RESERVES: bool = cfg!(not(feature = "portable"));
/// Does an arena have its lock before it has its name?
const LOCKED_FIRST: bool = RESERVES;

fn spec() -> ArenaSpec {
    ArenaSpec::new().tensor("a", Dtype::U64, &[4, 8]).gates("gates", 2)
}

fn published(name: &str) -> Arena {
    let draft = Arena::create(name, &spec()).unwrap();
    draft.init_gates("gates").unwrap();
    draft.publish()
}

fn path(name: &str) -> PathBuf {
    ArenaName::new(name).unwrap().path()
}

fn state(name: &str) -> Option<ArenaState> {
    inspect(&ArenaName::new(name).unwrap())
}

fn sweep(name: &str, force: bool) -> bool {
    reclaim(&ArenaName::new(name).unwrap(), force).unwrap()
}

/// Puts bytes where an arena would be, all at once as an arena never appears.
fn forge(name: &str, bytes: &[u8], mode: u32) {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path(name)).unwrap();
    file.write_all(bytes).unwrap();
    file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
}

/// The bytes of a valid arena, its words changed by `edit`.
fn forged(edit: impl Fn(&mut [u64])) -> Vec<u8> {
    let name = name(&format!("mould{:?}", std::thread::current().id()).replace(['(', ')'], ""));
    let arena = published(&name);
    let bytes = fs::read(path(&name)).unwrap();
    let mut words: Vec<u64> = bytes.chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
    drop(arena);
    edit(&mut words);
    bytemuck::cast_slice(&words).to_vec()
}

/// A pid that nobody has any more.
fn late() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

/// Not a test: what the helper processes do.
#[test]
fn helper_process() {
    let Some(role) = helper::role() else { return };
    let args: Vec<&str> = role[1..].iter().map(String::as_str).collect();
    match (role[0].as_str(), &args[..]) {
        ("own", [name]) => {
            let _arena = published(name);
            say("ready");
            stay()
        }
        ("draft", [name]) => {
            let _draft = Arena::create(name, &spec()).unwrap();
            say("ready");
            stay()
        }
        ("echo", [name, rounds]) => {
            let arena = Arena::attach(name).unwrap();
            let (there, back) = (arena.gate("gates", 0).unwrap(), arena.gate("gates", 1).unwrap());
            let words = arena.words("a").unwrap();
            let mut seen = 0;
            for _ in 0..rounds.parse().unwrap() {
                let Waited::Changed(now) = there.wait(seen, &mut Spin::new(Duration::ZERO), None) else {
                    unreachable!()
                };
                seen = now;
                words[1].store(words[0].load(Relaxed) + 1, Relaxed);
                back.post(now);
            }
        }
        ("race", [name, rounds]) => race(name, rounds.parse().unwrap(), 1),
        ("sweep", [name, millis]) => {
            let end = Instant::now() + Duration::from_millis(millis.parse().unwrap());
            let mut swept = 0;
            while Instant::now() < end {
                swept += u32::from(sweep(name, false));
                let abandoned = state(name) == Some(ArenaState::Abandoned);
                assert!(!abandoned || !LOCKED_FIRST, "no maker died here");
            }
            say(swept);
        }
        ("count", [name]) => count_descriptors(name),
        ("exhausted", [name]) => exhausted(name),
        ("full", []) => full(),
        other => panic!("no such role: {other:?}"),
    }
}

#[test]
fn created_filled_published_attached() {
    let name = name("life");
    let draft = Arena::create(&name, &spec()).unwrap();
    draft.arena().exclusive("a").unwrap().words_mut()[9] = 42;
    assert!(
        matches!(Arena::attach(&name), Err(ShmError::NotReady { .. })),
        "not openable before it is published"
    );
    assert!(matches!(ArenaReader::attach(&name), Err(ShmError::NotReady { .. })));
    assert_eq!(state(&name), Some(ArenaState::NotReady));
    let arena = draft.publish();

    let writer = Arena::attach(&name).unwrap();
    let reader = ArenaReader::attach(&name).unwrap();
    assert_eq!(writer.words("a").unwrap()[9].load(Acquire), 42);
    writer.words("a").unwrap()[10].store(43, Release);
    assert_eq!(reader.words("a").unwrap().get(10), 43);
    assert_eq!(reader.toc(), arena.toc());
    assert!(reader.owner_lives());
    assert_eq!(arena.toc().total, spec().total_bytes().unwrap());
    assert_eq!(fs::metadata(path(&name)).unwrap().mode() & 0o7777, 0o600);
    assert!(matches!(state(&name), Some(ArenaState::Live(toc)) if toc.owner == Identity::me()));
    assert!(inventory().iter().any(|file| file.name.as_str() == name && file.bytes == arena.toc().total));

    let words = reader.words("a").unwrap();
    drop((arena, writer, reader));
    assert!(!path(&name).exists(), "the owner takes its file along");
    assert_eq!(words.get(10), 43, "who is attached keeps the memory");
    assert!(matches!(Arena::attach(&name), Err(ShmError::Absent { .. })));
}

#[test]
fn a_draft_that_is_dropped_is_gone() {
    let name = name("dropped");
    drop(Arena::create(&name, &spec()).unwrap());
    assert!(!path(&name).exists());
}

#[test]
#[allow(clippy::disallowed_methods, reason = "what a fork does is what is tested")]
fn a_fork_of_the_owner_does_not_remove_its_arena() {
    let name = name("fork");
    let arena = published(&name);
    // SAFETY: the child drops one value and leaves without running anything else.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            drop(arena);
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            nix::sys::wait::waitpid(child, None).unwrap();
        }
    }
    assert!(matches!(state(&name), Some(ArenaState::Live(_))));
}

#[test]
fn an_owner_does_not_remove_what_took_its_place() {
    let name = name("place");
    let first = published(&name);
    fs::remove_file(path(&name)).unwrap();
    let second = published(&name);
    drop(first);
    assert!(matches!(state(&name), Some(ArenaState::Live(toc)) if &toc == second.toc()));
}

#[test]
fn absent_says_what_there_is_instead() {
    let (there, asked) = (name("quadruped"), name("quadrupde"));
    let _arena = published(&there);
    let error = Arena::attach(&asked).unwrap_err();
    assert!(matches!(&error, ShmError::Absent { near, .. } if near.contains(&there)), "{error:?}");
    assert!(error.to_string().contains(&there), "{error}");
    assert_eq!(state(&asked), None);
    assert!(!sweep(&asked, true));
}

#[test]
fn taken_names_the_owner() {
    let name = name("taken");
    let mut owner = Helper::start(&format!("own {name}"));
    owner.expect("ready");
    let error = Arena::create(&name, &spec()).unwrap_err();
    assert!(matches!(error, ShmError::Taken { pid, .. } if pid == owner.pid()), "{error:?}");
    assert!(error.to_string().contains(&owner.pid().to_string()), "{error}");
    owner.go();
    owner.wait();
    drop(published(&name));
}

#[test]
fn a_killed_owner_is_known_and_its_arena_reclaimed() {
    let name = name("killed");
    let mut owner = Helper::start(&format!("own {name}"));
    owner.expect("ready");
    let reader = ArenaReader::attach(&name).unwrap();
    owner.kill();
    assert!(path(&name).exists() && !reader.owner_lives());
    let error = Arena::attach(&name).unwrap_err();
    assert!(matches!(error, ShmError::OwnerDead { pid, .. } if pid == owner.pid()), "{error:?}");
    assert!(matches!(state(&name), Some(ArenaState::Dead(toc)) if toc.owner.pid == owner.pid()));
    let arena = published(&name);
    assert_eq!(arena.toc().owner, Identity::me());
    assert!(!sweep(&name, true), "the new one is alive");
}

#[test]
fn an_abandoned_draft_is_reclaimed() {
    let name = name("draft");
    let mut maker = Helper::start(&format!("draft {name}"));
    maker.expect("ready");
    assert_eq!(state(&name), Some(ArenaState::NotReady));
    assert!(matches!(Arena::create(&name, &spec()), Err(ShmError::NotReady { .. })));
    assert!(!sweep(&name, true), "its maker lives");
    maker.kill();
    assert_eq!(state(&name), Some(ArenaState::Abandoned));
    assert!(matches!(Arena::attach(&name), Err(ShmError::NotReady { .. })));
    drop(published(&name));
    assert!(!path(&name).exists());
}

#[test]
fn another_boot_or_start_time_is_a_dead_owner() {
    let name = name("reboot");
    let other_boot = |words: &mut [u64]| words[3] ^= 1;
    let other_start = |words: &mut [u64]| words[7] += 1;
    for edit in [other_boot as fn(&mut [u64]), other_start] {
        forge(&name, &forged(edit), 0o600);
        assert!(matches!(state(&name), Some(ArenaState::Dead(_))));
        assert!(sweep(&name, false));
    }
    forge(&name, &forged(|words| words[5] ^= 1), 0o600);
    assert!(matches!(state(&name), Some(ArenaState::Elsewhere(_))), "another pid namespace: nobody can tell");
    assert!(matches!(Arena::create(&name, &spec()), Err(ShmError::Taken { .. })));
    assert!(!sweep(&name, false) && sweep(&name, true));
}

#[test]
fn another_version_is_said_so() {
    let name = name("version");
    forge(&name, &forged(|words| words[1] = words[1] & !0xffff_ffff | 7), 0o600);
    for error in [Arena::attach(&name).unwrap_err(), Arena::create(&name, &spec()).unwrap_err()] {
        assert!(
            matches!(error, ShmError::WrongVersion { found: 7, expected: header::VERSION, .. }),
            "{error:?}"
        );
    }
    assert_eq!(state(&name), Some(ArenaState::WrongVersion(7)));
    assert!(!sweep(&name, false) && sweep(&name, true));
}

#[test]
fn garbage_is_refused_and_only_removed_by_force() {
    let name = name("garbage");
    let cut_off = &forged(|_| {})[..8192];
    for bytes in [&b"not an arena"[..], &[0xa5; 8192], cut_off] {
        forge(&name, bytes, 0o600);
        assert!(matches!(Arena::attach(&name), Err(ShmError::Corrupt { .. })));
        assert!(matches!(ArenaReader::attach(&name), Err(ShmError::Corrupt { .. })));
        assert!(matches!(Arena::create(&name, &spec()), Err(ShmError::Corrupt { .. })));
        assert!(!sweep(&name, false) && path(&name).exists());
        assert!(sweep(&name, true) && !path(&name).exists());
    }
}

#[test]
fn what_others_own_or_may_touch_is_foreign() {
    let name = name("foreign");
    let valid = forged(|_| {});
    let refused = |says: &str| {
        for error in [Arena::attach(&name).unwrap_err(), Arena::create(&name, &spec()).unwrap_err()] {
            let is_file = matches!(error, ShmError::ForeignOwner { .. });
            assert!(is_file || matches!(error, ShmError::NoFile { .. }), "{error:?}");
            assert!(error.to_string().contains(says), "{error}");
            let foreign = matches!(state(&name), Some(ArenaState::Foreign { .. }));
            assert!(foreign == is_file, "{:?}", state(&name));
        }
        assert!(reclaim(&ArenaName::new(&name).unwrap(), true).is_err());
    };
    let remove = || fs::remove_file(path(&name)).unwrap();
    forge(&name, &valid, 0o666);
    refused("is open to others (mode 666");
    remove();
    symlink("/etc/passwd", path(&name)).unwrap();
    refused("is a symbolic link");
    remove();
    fs::create_dir(path(&name)).unwrap();
    refused("is a directory");
    fs::remove_dir(path(&name)).unwrap();
    // A pipe must not keep who opens it waiting.
    nix::unistd::mkfifo(&path(&name), nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused("is a pipe");
    remove();
    if geteuid().is_root() {
        forge(&name, &valid, 0o600);
        chown(&path(&name), Some(65534.into()), None).unwrap();
        refused("belongs to uid 65534");
        remove();
    } else {
        println!("not root: a file of another uid was not tried");
    }
}

#[test]
fn names_keep_to_their_rule() {
    for bad in ["", "../x", "a/b", ".x", "a b", &"x".repeat(65)] {
        assert!(matches!(Arena::create(bad, &spec()), Err(ShmError::BadName { .. })), "{bad:?}");
        assert!(matches!(ArenaReader::attach(bad), Err(ShmError::BadName { .. })), "{bad:?}");
    }
    let longest = format!("{:x<64}", name("long"));
    drop(published(&longest));
}

#[test]
fn impossible_specifications_are_refused() {
    let name = name("impossible");
    let tensor = |name: &str, shape: &[u64]| ArenaSpec::new().tensor(name, Dtype::F64, shape);
    let many = (0..=header::MAX_TENSORS)
        .fold(ArenaSpec::new(), |spec, i| spec.tensor(&i.to_string(), Dtype::U8, &[1]));
    for spec in [
        tensor("", &[1]),
        tensor(&"x".repeat(33), &[1]),
        tensor("a\0b", &[1]),
        tensor("a", &[]),
        tensor("a", &[1; 5]),
        tensor("a", &[u64::MAX]),
        tensor("a", &[1 << 31, 1 << 31]),
        tensor("a", &[1]).tensor("a", Dtype::U8, &[1]),
        many,
    ] {
        assert!(matches!(Arena::create(&name, &spec), Err(ShmError::BadSpec(_))), "{spec:?}");
    }
    assert!(matches!(Arena::create(&name, &tensor("a", &[1 << 50])), Err(ShmError::NoSpace { .. })));
    assert!(!path(&name).exists());
    assert!(Arena::create(&name, &ArenaSpec::new()).is_ok(), "no tensors at all are fine");
}

#[test]
fn every_dtype_keeps_its_values() {
    fn check<T: Element + PartialEq + std::fmt::Debug>(arena: &Arena, values: &[f64]) {
        let mut tensor = arena.exclusive(T::DTYPE.name()).unwrap();
        let elements = &mut bytemuck::cast_slice_mut::<u64, T>(tensor.words_mut())[..values.len()];
        elements.iter_mut().zip(values).for_each(|(to, from)| *to = T::from_f64(*from));
        let reader = ArenaReader::attach(arena.name().as_str()).unwrap();
        let words = reader.words(T::DTYPE.name()).unwrap();
        let mut copy = vec![0; words.len()];
        words.load(0, &mut copy);
        let read: Vec<f64> =
            bytemuck::cast_slice::<u64, T>(&copy)[..values.len()].iter().map(|e| e.to_f64()).collect();
        assert_eq!(read, values, "{}", T::DTYPE);
    }
    let name = name("dtypes");
    let spec = Dtype::ALL.iter().fold(ArenaSpec::new(), |spec, d| spec.tensor(d.name(), *d, &[3, 1]));
    let arena = Arena::create(&name, &spec).unwrap().publish();
    for (info, dtype) in arena.toc().tensors.iter().zip(Dtype::ALL) {
        assert_eq!((info.dtype, info.bytes), (*dtype, (3 * dtype.size() as u64).next_multiple_of(8)));
    }
    check::<f16>(&arena, &[0.5, -2.0, 1024.0]);
    check::<f32>(&arena, &[0.5, -2.0, 1e30f32.into()]);
    check::<f64>(&arena, &[0.1, -2.0, 1e300]);
    check::<i8>(&arena, &[-128.0, 0.0, 127.0]);
    check::<i16>(&arena, &[-32768.0, 0.0, 32767.0]);
    check::<i32>(&arena, &[i32::MIN.into(), 0.0, i32::MAX.into()]);
    check::<i64>(&arena, &[-(2f64.powi(53)), 0.0, 2f64.powi(53)]);
    check::<u8>(&arena, &[0.0, 1.0, 255.0]);
    check::<u16>(&arena, &[0.0, 1.0, 65535.0]);
    check::<u32>(&arena, &[0.0, 1.0, u32::MAX.into()]);
    check::<u64>(&arena, &[0.0, 1.0, 2f64.powi(53)]);
    check::<phalanx_shm::Bool>(&arena, &[0.0, 1.0, 1.0]);
}

#[test]
fn a_tensor_is_held_by_one_or_shared_by_many() {
    let name = name("claims");
    let arena = published(&name);
    let held = |what: Result<(), ShmError>| assert!(matches!(what, Err(ShmError::Held(_))), "{what:?}");

    let exclusive = arena.exclusive("a").unwrap();
    held(arena.exclusive("a").map(drop));
    held(arena.words("a").map(drop));
    drop(exclusive);
    let shared = (arena.words("a").unwrap(), arena.words("a").unwrap());
    held(arena.exclusive("a").map(drop));
    drop(shared);
    let gate = arena.gate("gates", 0).unwrap();
    held(arena.exclusive("gates").map(drop));
    drop(gate);
    drop(arena.exclusive("gates").unwrap());

    for missing in
        [arena.words("b").map(drop), arena.gate("gates", 2).map(drop), arena.gate("a", 0).map(drop)]
    {
        assert!(matches!(missing, Err(ShmError::NoTensor(_))), "{missing:?}");
    }
    let views = arena.exclusive("a").unwrap();
    drop(arena);
    assert_eq!(views.words().len(), 32, "a view outlives its arena");
}

#[test]
fn a_tensor_that_only_looks_like_gates_has_none() {
    let name = name("gates");
    let spec = ArenaSpec::new().tensor("no", Dtype::U8, &[4, 256, 0]).tensor("f", Dtype::F64, &[4, 256]);
    let arena = Arena::create(&name, &spec).unwrap().publish();
    for tensor in ["no", "f"] {
        assert!(matches!(arena.gate(tensor, 3), Err(ShmError::NoTensor(_))), "{tensor}");
    }
}

#[test]
fn a_reader_cannot_write_even_if_it_tried() {
    let name = name("reader");
    let _arena = published(&name);
    let inode = fs::metadata(path(&name)).unwrap().ino().to_string();
    let protections = || {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let fields = maps.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        let mut found: Vec<_> = fields.filter(|f| f[4] == inode).map(|f| f[1].to_owned()).collect();
        found.sort();
        found
    };
    assert_eq!(protections(), ["rw-s"]);
    let _reader = ArenaReader::attach(&name).unwrap();
    assert_eq!(protections(), ["r--s", "rw-s"]);
}

#[test]
fn a_post_wakes_another_process() {
    const ROUNDS: u32 = 200;
    let name = name("wake");
    let arena = published(&name);
    let mut echo = Helper::start(&format!("echo {name} {ROUNDS}"));
    let (there, back) = (arena.gate("gates", 0).unwrap(), arena.gate("gates", 1).unwrap());
    let words = arena.words("a").unwrap();
    for round in 1..=ROUNDS {
        words[0].store(u64::from(round) * 10, Relaxed);
        there.post(round);
        let deadline = Some(Instant::now() + Duration::from_secs(60));
        assert_eq!(back.wait(round - 1, &mut Spin::new(Duration::ZERO), deadline), Waited::Changed(round));
        assert_eq!(words[1].load(Relaxed), u64::from(round) * 10 + 1, "what was posted comes with the value");
    }
    assert!(echo.wait().success());
}

#[test]
fn the_end_of_a_process_is_noticed() {
    let name = name("watch");
    let mut owner = Helper::start(&format!("own {name}"));
    owner.expect("ready");
    let watch = Watch::new(Identity::of(owner.pid()).unwrap()).unwrap().unwrap();
    assert!(!watch.ended() && !watch.wait(Some(Duration::from_millis(5))));
    let start = Instant::now();
    owner.kill();
    assert!(watch.wait(None));
    println!("noticed {:?} after the kill was sent", start.elapsed());
    assert!(sweep(&name, false));
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn count_descriptors(name: &str) {
    let before = descriptors();
    for _ in 0..1000 {
        let arena = published(name);
        let writer = Arena::attach(name).unwrap();
        let reader = ArenaReader::attach(name).unwrap();
        let views =
            (arena.exclusive("a").unwrap(), writer.gate("gates", 1).unwrap(), reader.words("a").unwrap());
        drop((arena, writer, reader, views));
    }
    assert_eq!(descriptors(), before, "after 1000 arenas");
    let arena = published(name);
    let attached: Vec<_> = (0..8).map(|_| ArenaReader::attach(name).unwrap()).collect();
    assert_eq!(descriptors(), before + HELD * (1 + attached.len()));
    drop((arena, attached));
    assert_eq!(descriptors(), before);
    say("ready");
}

#[test]
fn descriptors_do_not_leak() {
    // In a process of its own: the other tests open and close theirs.
    Helper::start(&format!("count {}", name("leak"))).expect("ready");
}

/// Both sides create the same names at the same moments; `side` 0 is the test, 1 its helper.
fn race(line: &str, rounds: usize, side: usize) {
    let arena = Arena::attach(line).unwrap();
    let (me, other) = (arena.gate("gates", side).unwrap(), arena.gate("gates", 1 - side).unwrap());
    let score = arena.words("a").unwrap();
    let mut spin = Spin::new(Duration::from_micros(200));
    let mut step = 0;
    // Both have come to this step.
    let mut meet = || {
        step += 1;
        me.post(step);
        let deadline = Some(Instant::now() + Duration::from_secs(60));
        assert!(other.wait_until(&mut spin, deadline, || other.value() >= step), "the other side is gone");
    };
    for round in 0..rounds {
        let contested = format!("{line}-{round}");
        meet();
        let made = Arena::create(&contested, &spec()).map(|draft| draft.publish());
        score[side].store(made.is_ok().into(), Relaxed);
        match &made {
            Ok(_) | Err(ShmError::Taken { .. } | ShmError::NotReady { .. }) => {}
            Err(e) => panic!("round {round}: {e}"),
        }
        meet();
        assert_eq!(score[0].load(Relaxed) + score[1].load(Relaxed), 1, "one of two makes it, round {round}");
        assert!(matches!(state(&contested), Some(ArenaState::Live(_))));
        meet();
        drop(made);
    }
}

#[test]
fn of_two_that_create_one_makes_it() {
    const ROUNDS: usize = 300;
    let name = name("race");
    let _line = published(&name);
    let mut other = Helper::start(&format!("race {name} {ROUNDS}"));
    race(&name, ROUNDS, 0);
    assert!(other.wait().success());
}

/// Threads create an arena, find it in its place, and leave a dead one in the way of the next, while processes
/// sweep.
#[test]
fn sweeping_never_takes_a_live_arena() {
    const LASTS: Duration = Duration::from_secs(3);
    let name = name("sweep");
    let late = late();
    let corpse = forged(|words| words[6] = late.into());
    let mut sweepers = [0; 2].map(|_| Helper::start(&format!("sweep {name} {}", LASTS.as_millis())));
    let end = Instant::now() + LASTS;
    let live = || {
        while Instant::now() < end {
            let draft = match Arena::create(&name, &spec()) {
                Ok(draft) => draft,
                Err(ShmError::Taken { .. } | ShmError::NotReady { .. }) => continue,
                Err(e) => panic!("{e}"),
            };
            std::thread::yield_now();
            let arena = draft.publish();
            for _ in 0..20 {
                let found = Arena::attach(&name).expect("a live arena stays in its place");
                assert_eq!(found.toc(), arena.toc());
            }
            return true;
        }
        false
    };
    // Linked, so that it appears whole.
    let litter = |side: &str| {
        forge(side, &corpse, 0o600);
        let littered = fs::hard_link(path(side), path(&name)).is_ok();
        // Gone already if a cluster was started elsewhere meanwhile: it clears up after the dead.
        let _ = fs::remove_file(path(side));
        littered
    };
    let counts = std::thread::scope(|scope| {
        let creators = [0, 1].map(|i| {
            let side = format!("{name}-side{i}");
            scope.spawn(move || {
                let (mut made, mut littered) = (0, 0);
                while live() {
                    made += 1;
                    littered += u32::from(litter(&side));
                }
                (made, littered)
            })
        });
        creators.map(|creator| creator.join().unwrap())
    });
    let swept: u32 = sweepers.iter_mut().map(|s| s.heard().unwrap().parse::<u32>().unwrap()).sum();
    let (made, littered) = (counts[0].0 + counts[1].0, counts[0].1 + counts[1].1);
    println!("{made} created, {littered} dead put in the way, {swept} of them swept by the helpers");
    assert!(made > 10 && littered > 10);
    let _ = fs::remove_file(path(&name));
}

/// In a process without descriptors: every call says so, and nobody is taken for dead.
fn exhausted(live: &str) {
    let owner = ArenaReader::attach(live).unwrap().toc().owner;
    setrlimit(Resource::RLIMIT_NOFILE, 32, 32).unwrap();
    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let fresh = format!("{live}-fresh");
    for left in 0..3 {
        let calls = [
            Arena::attach(live).map(drop),
            ArenaReader::attach(live).map(drop),
            Arena::create(&fresh, &spec()).map(drop),
            reclaim(&ArenaName::new(live).unwrap(), true).map(drop),
        ];
        for result in calls {
            match result {
                Ok(()) if left > 0 => {}
                Err(e @ ShmError::Descriptors { limit: 32, .. }) => {
                    assert!(e.to_string().contains("ulimit -n"))
                }
                other => panic!("{left} descriptors left: {other:?}"),
            }
        }
        assert!(path(live).exists(), "{left} descriptors left: never removed");
        assert!(!path(&fresh).exists(), "{left} descriptors left: nothing left behind");
        assert!(owner.is_alive() && Identity::alive_from(owner.pack()).is_some());
        assert!(!matches!(state(live), Some(ArenaState::Dead(_) | ArenaState::Abandoned)));
        hoard.pop();
    }
    assert!(Boot::now().is_known());
    say("ready");
}

#[test]
fn without_descriptors_every_call_says_so() {
    let name = name("nofile");
    let _arena = published(&name);
    Helper::start(&format!("exhausted {name}")).expect("ready");
    assert!(matches!(state(&name), Some(ArenaState::Live(_))));
}

/// In a mount namespace of its own, with a /dev/shm of 2 MiB.
fn full() {
    const MIB: u64 = 1 << 20;
    let files = || fs::read_dir("/dev/shm").unwrap().count();
    let of = |bytes: u64| ArenaSpec::new().tensor("a", Dtype::U8, &[bytes]);
    let error = Arena::create("big", &of(4 * MIB)).unwrap_err();
    let ShmError::NoSpace { need, have, remedy } = &error else { panic!("{error:?}") };
    assert_eq!(*need, of(4 * MIB).total_bytes().unwrap());
    assert!(*have <= 2 * MIB && *have > MIB, "{have}");
    assert!(
        remedy.contains("--shm-size") && error.to_string().contains("need 4.0 MiB, have 2.0 MiB"),
        "{error}"
    );
    assert_eq!(files(), 0);

    if RESERVES {
        let _first = Arena::create("first", &of(MIB)).unwrap().publish();
        assert!(matches!(Arena::create("second", &of(MIB)), Err(ShmError::NoSpace { .. })));
        assert_eq!(files(), 1);
    }

    // What a dead owner left under the name makes room for the next.
    let mut owner = Helper::start("own dead");
    owner.expect("ready");
    owner.kill();
    let rest = nix::sys::statvfs::statvfs("/dev/shm").unwrap();
    let rest = rest.blocks_available() * rest.fragment_size();
    drop(Arena::create("dead", &of(rest)).unwrap());
    assert_eq!(files(), 0);
    say("ready");
}

#[test]
fn too_small_a_shm_is_refused_with_numbers_and_remedy() {
    let mut unshare = Command::new("unshare");
    let script = r#"mount -t tmpfs -o size=2m tmpfs /dev/shm && echo @mounted && exec "$0" "$@""#;
    unshare.args(["-m", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
    let mut helper = Helper::start_with(unshare, "full");
    if helper.heard().as_deref() != Some("mounted") {
        return println!("not permitted to mount a small /dev/shm here ({}): not tried", helper.wait());
    }
    helper.expect("ready");
    let status = helper.wait();
    assert!(status.success() && status.signal().is_none(), "{status}");
}
