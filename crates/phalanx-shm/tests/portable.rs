//! What the portable backend cannot promise, shown. `tests/conformance.rs` has what it does promise.
//!
//! ```sh
//! cargo nextest run -p phalanx-shm --features portable
//! ```
#![cfg(all(feature = "portable", not(loom)))]

#[path = "helper/mod.rs"]
mod helper;

use helper::{Helper, name, say, stay};
use phalanx_shm::{Arena, ArenaSpec, BACKEND, Dtype, Identity, Spin, Waited, Watch};
use raw_sync::{
    Timeout,
    events::{Event, EventInit, EventState},
    locks::{LockInit, Mutex},
};
use std::{
    os::unix::process::ExitStatusExt,
    process::Command,
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

const MIB: u64 = 1 << 20;
/// Where a gate's event lies: on the line behind its two words.
const EVENT: usize = 64 / 8;

fn gates(name: &str) -> Arena {
    let draft = Arena::create(name, &ArenaSpec::new().gates("gates", 2)).unwrap();
    draft.init_gates("gates").unwrap();
    draft.publish()
}

/// The raw memory of the first gate's event.
fn event_of(arena: &Arena) -> *mut u8 {
    let words = arena.words("gates").unwrap();
    words[EVENT].as_ptr().cast()
}

/// Not a test: what the helper processes do.
#[test]
fn helper_process() {
    let Some(role) = helper::role() else { return };
    let args: Vec<&str> = role[1..].iter().map(String::as_str).collect();
    match (role[0].as_str(), &args[..]) {
        ("stay", []) => {
            say("ready");
            stay()
        }
        ("hold", [name]) => {
            let arena = Arena::attach(name).unwrap();
            // SAFETY: the parent made an event there, and its lock comes first in it; the arena outlives this.
            let (lock, _) = unsafe { Mutex::from_existing(event_of(&arena), std::ptr::null_mut()) }.unwrap();
            let _held = lock.lock().unwrap();
            say("held");
            stay()
        }
        ("overcommit", []) => overcommit(),
        other => panic!("no such role: {other:?}"),
    }
}

#[test]
fn this_is_the_portable_backend() {
    assert_eq!(BACKEND, "portable");
}

/// raw_sync alone would hang here for ever; waiters and posters of a `Gate` go on, slower.
#[test]
fn a_process_killed_with_the_events_lock_stops_raw_sync_but_not_the_gate() {
    let name = name("lock");
    let arena = gates(&name);
    let mut holder = Helper::start(&format!("hold {name}"));
    holder.expect("held");
    holder.kill();

    // What raw_sync does with it: nothing, for ever. The thread stays behind and ends with the test.
    let (done, hung) = channel();
    let event = event_of(&arena).expose_provenance();
    // So that the memory stays mapped for that thread.
    std::mem::forget(arena.words("gates").unwrap());
    thread::spawn(move || {
        // SAFETY: there is an event, and its memory is never unmapped.
        let (event, _) =
            unsafe { Event::from_existing(std::ptr::with_exposed_provenance_mut(event)) }.unwrap();
        let _ = event.set(EventState::Signaled);
        let _ = done.send(());
    });
    assert!(hung.recv_timeout(Duration::from_millis(300)).is_err(), "raw_sync's lock has become robust");

    let gate = arena.gate("gates", 0).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let deadline = Some(Instant::now() + Duration::from_secs(60));
            let mut seen = 0;
            // One that is slow to wake finds a later value than it was woken for.
            while seen < 20 {
                match gate.wait(seen, &mut Spin::new(Duration::ZERO), deadline) {
                    Waited::Changed(value) => seen = value,
                    _ => return false,
                }
            }
            true
        });
        let mut slowest = Duration::ZERO;
        for value in 1..=20 {
            // Long enough for the waiter to be asleep.
            thread::sleep(Duration::from_millis(5));
            let start = Instant::now();
            gate.post(value);
            slowest = slowest.max(start.elapsed());
        }
        assert!(waiter.join().unwrap(), "no post is lost");
        println!("the slowest of 20 posts took {slowest:?}");
    });
}

/// Which is why a gate's waits are cut into short naps, and why a nap that fails is made up by a plain sleep.
#[test]
fn raw_sync_forgets_to_carry_nanoseconds() {
    let mut memory = [0u64; 16];
    // SAFETY: large enough, aligned, and it outlives the event.
    let (event, _) = unsafe { Event::new(memory.as_mut_ptr().cast(), true) }.unwrap();
    let nap = Duration::from_millis(50);
    let early = (0..200).find(|_| {
        let start = Instant::now();
        assert!(event.wait(Timeout::Val(nap)).is_err());
        start.elapsed() < nap / 2
    });
    // The first nap that begins at the end of a second.
    assert!(early.is_some(), "raw_sync carries now");
}

#[test]
fn death_is_noticed_by_looking() {
    let mut late = Vec::new();
    for _ in 0..10 {
        let mut child = Helper::start("stay");
        child.expect("ready");
        let watch = Watch::new(Identity::of(child.pid()).unwrap()).unwrap().unwrap();
        assert!(watch.descriptor().is_none(), "nothing to poll");
        let (sent, noticed) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(watch.wait(Some(Duration::from_secs(60))));
                sent.send(Instant::now()).unwrap();
            });
            thread::sleep(Duration::from_millis(3));
            let start = Instant::now();
            child.kill();
            late.push(noticed.recv().unwrap() - start);
        });
    }
    late.sort();
    println!("noticed after {:?} at best, {:?} at worst; a pidfd tells at once", late[0], late[9]);
}

/// Two arenas that together are too large are both created, and the second dies of SIGBUS when it is filled.
fn overcommit() {
    let of = |name| Arena::create(name, &ArenaSpec::new().tensor("a", Dtype::U8, &[3 * MIB / 2]));
    let (first, second) = (of("first").unwrap().publish(), of("second").unwrap().publish());
    first.exclusive("a").unwrap().words_mut().fill(1);
    say("first filled");
    second.exclusive("a").unwrap().words_mut().fill(1);
    say("second filled");
}

#[test]
fn memory_is_not_reserved() {
    let mut unshare = Command::new("unshare");
    let script = r#"mount -t tmpfs -o size=2m tmpfs /dev/shm && echo @mounted && exec "$0" "$@""#;
    unshare.args(["-m", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
    let mut helper = Helper::start_with(unshare, "overcommit");
    if helper.heard().as_deref() != Some("mounted") {
        return println!("not permitted to mount a small /dev/shm here ({}): not tried", helper.wait());
    }
    helper.expect("first filled");
    assert_eq!(helper.heard(), None);
    assert_eq!(helper.wait().signal(), Some(libc::SIGBUS));
}
