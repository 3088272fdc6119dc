//! The round, checked by loom: every interleaving up to a number of forced switches ([`MODELS`] states it
//! per model, `LOOM_MAX_PREEMPTIONS` overrides it), and within each every value that the C11 memory model lets
//! a load return.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p phalanx-shm --test model --release -- --nocapture
//! ```
//!
//! The models use the real `Handoff`, `Slot`, `SlotReader` and `Gate`; only the futex is played by a lock and a
//! condition variable, so a lost wake-up shows as loom's deadlock. A model that cannot fail proves nothing,
//! therefore [`every_ordering_matters`] weakens each [`SyncPoint`] in turn (to `Relaxed`, or to no fence) and
//! [`every_step_matters`] breaks the protocol by hand ([`Fault`]); each must be caught. Both print which model
//! catches what.
//!
//! One step turned out not to matter to the data, so no model can miss it: asking again after a withdrawal but
//! before the answer, because the second look compares the whole word. The rule to wait for the answer stays:
//! it is what makes *late* countable.
//!
//! What the models do not cover: spinning with a clock (`Spin`'s time is not loom's, so waiters here sleep at
//! once), time-outs, and a process killed half-way (`tests/conformance.rs` kills real ones).
#![cfg(loom)]

use loom::{model::Builder, thread};
use phalanx_shm::{
    Answer, Ask, Gate, Handoff, Slot, SlotReader, Spin, Waited,
    sync::{
        self, AtomicU64,
        Ordering::{Relaxed, SeqCst},
        SyncPoint,
    },
};
use std::{
    panic,
    sync::{Arc, Mutex, Once, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

const SOLVED: u8 = 1;
const REFUSED: u8 = 2;

/// A step of the protocol left out or done in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The worker answers before the outputs are written.
    AnswersEarly,
    /// The worker computes without asking whether its copy was whole.
    NoSecondLook,
    /// The worker does not notice that an ask was withdrawn before it first saw it.
    IgnoresWithdrawal,
    /// The client changes the inputs, then withdraws.
    WithdrawsLate,
    /// The client takes any answer for the one it waits for.
    TakesAnyAnswer,
    /// The client posts the gate before it asks.
    PostsEarly,
    /// The worker rings before it answers.
    RingsEarly,
    /// The writer does not mark the slot before it changes it.
    NoBegin,
    /// The observer does not look whether the slot changed while it copied.
    NoEnd,
}

impl Fault {
    const ALL: [Fault; 9] = [
        Fault::AnswersEarly,
        Fault::NoSecondLook,
        Fault::IgnoresWithdrawal,
        Fault::WithdrawsLate,
        Fault::TakesAnyAnswer,
        Fault::PostsEarly,
        Fault::RingsEarly,
        Fault::NoBegin,
        Fault::NoEnd,
    ];
}

/// One row: its two words, its inputs, and two slots that take turns.
#[derive(Default)]
struct Row {
    ask: AtomicU64,
    done: AtomicU64,
    inputs: [AtomicU64; 2],
    slots: [[AtomicU64; 3]; 2],
}

/// What the client writes for a round, and what a controller makes of it.
fn inputs_of(round: u64) -> [u64; 2] {
    [10 * round, 10 * round + 1]
}

fn solve([a, b]: [u64; 2]) -> [u64; 2] {
    [1000 * a + b, 1000 * b + a]
}

impl Row {
    fn handoff(&self) -> Handoff<'_> {
        Handoff { ask: &self.ask, done: &self.done }
    }

    fn feed(&self, round: u64) {
        for (word, value) in self.inputs.iter().zip(inputs_of(round)) {
            word.store(value, Relaxed);
        }
    }

    /// The worker's part of a round.
    fn serve(&self, ask: Ask, fault: Fault) {
        let row = self.handoff();
        let answer = |code| row.reply(Answer { round: ask.round, slot: (ask.round % 2) as u16, code });
        if ask.withdrawn && fault != Fault::IgnoresWithdrawal {
            return answer(REFUSED);
        }
        let inputs = [self.inputs[0].load(Relaxed), self.inputs[1].load(Relaxed)];
        let looked = match fault {
            Fault::NoSecondLook => true,
            // What `still_stands` says of it: that this very word is still there.
            Fault::IgnoresWithdrawal if ask.withdrawn => row.asked() == ask,
            _ => row.still_stands(ask),
        };
        if !looked {
            return answer(REFUSED);
        }
        if fault == Fault::AnswersEarly {
            answer(SOLVED);
        }
        let slot = Slot::over(&self.slots[ask.round as usize % 2]);
        for (word, value) in slot.begin(ask.round).iter().zip(solve(inputs)) {
            word.store(value, Relaxed);
        }
        slot.end(ask.round);
        if fault != Fault::AnswersEarly {
            answer(SOLVED);
        }
    }

    /// The outputs behind an answer: there, complete, and made of the inputs of that very round.
    fn check(&self, answer: Answer) {
        let mut outputs = [0; 2];
        let serial = SlotReader::over(&self.slots[answer.slot as usize]).read(&mut outputs);
        assert_eq!(serial, Some(answer.round), "the slot of an answer is complete");
        assert_eq!(outputs, solve(inputs_of(answer.round)), "outputs of round {}", answer.round);
    }
}

fn wait(gate: &Gate, seen: &mut u32) {
    match gate.wait(*seen, &mut Spin::new(Duration::ZERO), None) {
        Waited::Changed(now) => *seen = now,
        Waited::TimedOut => unreachable!("there is no deadline"),
    }
}

/// Everybody asleep when there is nothing to do.
fn rounds<const WORKERS: usize, const ROUNDS: u64>(fault: Fault) {
    #[derive(Default)]
    struct Lane {
        row: Row,
        gate: Gate,
    }
    let lanes: Arc<[Lane; WORKERS]> = Arc::new(std::array::from_fn(|_| Lane::default()));
    let home = Arc::new(Gate::default());
    let workers: [_; WORKERS] = std::array::from_fn(|i| {
        let (lanes, home) = (lanes.clone(), home.clone());
        thread::spawn(move || {
            let Lane { row, gate } = &lanes[i];
            let mut seen = 0;
            for _ in 0..ROUNDS {
                let ask = loop {
                    wait(gate, &mut seen);
                    if let Some(ask) = row.handoff().pending() {
                        break ask;
                    }
                };
                if fault == Fault::RingsEarly {
                    home.ring();
                }
                row.serve(ask, fault);
                if fault != Fault::RingsEarly {
                    home.ring();
                }
            }
        })
    });
    for round in 1..=ROUNDS {
        let post = || lanes.iter().for_each(|lane| lane.gate.post(round as u32));
        if fault == Fault::PostsEarly {
            post();
        }
        for Lane { row, .. } in &*lanes {
            row.feed(round);
            row.handoff().make(round, 0);
        }
        if fault != Fault::PostsEarly {
            post();
        }
        let answered = || lanes.iter().all(|lane| lane.row.handoff().answer().is_of(round));
        assert!(home.wait_until(&mut Spin::new(Duration::ZERO), None, answered));
        for Lane { row, .. } in &*lanes {
            row.check(row.handoff().answer());
        }
    }
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

/// The client gives up on round 1, changes the inputs at once, and asks for round 2 when it may.
fn withdrawal(fault: Fault) {
    let row = Arc::new(Row::default());
    let worker = {
        let row = row.clone();
        thread::spawn(move || {
            for _ in 0..2 {
                let ask = loop {
                    match row.handoff().pending() {
                        Some(ask) => break ask,
                        None => thread::yield_now(),
                    }
                };
                row.serve(ask, fault);
                if ask.round == 2 {
                    break;
                }
            }
        })
    };
    let client = row.handoff();
    row.feed(1);
    client.make(1, 0);
    if fault == Fault::WithdrawsLate {
        row.feed(2);
        client.withdraw();
    } else {
        client.withdraw();
        row.feed(2);
    }
    while !client.is_idle() {
        thread::yield_now();
    }
    let late = client.answer();
    if late.code == SOLVED {
        row.check(late);
    }
    client.make(2, 0);
    let answer = loop {
        let answer = client.answer();
        if answer.is_of(2) || fault == Fault::TakesAnyAnswer {
            break answer;
        }
        thread::yield_now();
    };
    assert_eq!((answer.round, answer.code), (2, SOLVED), "nobody withdrew round 2");
    row.check(answer);
    worker.join().unwrap();
}

/// An observer copies a slot while its writer goes on.
fn observer(fault: Fault) {
    let words = Arc::new(<[AtomicU64; 3]>::default());
    let writer = {
        let words = words.clone();
        thread::spawn(move || {
            let slot = Slot::over(&words[..]);
            for serial in 0..2 {
                let record = if fault == Fault::NoBegin { &words[1..] } else { slot.begin(serial) };
                record.iter().for_each(|word| word.store(serial + 1, Relaxed));
                slot.end(serial);
            }
        })
    };
    let mut copy = [0; 2];
    let serial = if fault == Fault::NoEnd {
        let before = words[0].load(sync::Ordering::Acquire);
        copy = [words[1].load(Relaxed), words[2].load(Relaxed)];
        (before != 0 && before & 1 == 0).then(|| (before >> 1) - 1)
    } else {
        SlotReader::over(&words[..]).read(&mut copy)
    };
    if let Some(serial) = serial {
        assert_eq!(copy, [serial + 1; 2], "record {serial}");
    }
    writer.join().unwrap();
}

/// A waiter that must not sleep through a post, and finds what was posted.
fn gate(_: Fault) {
    let line = Arc::new((Gate::default(), AtomicU64::new(0)));
    let waiter = {
        let line = line.clone();
        thread::spawn(move || {
            let mut seen = 0;
            while seen != 2 {
                wait(&line.0, &mut seen);
                assert!(line.1.load(Relaxed) >= u64::from(seen), "what was posted is there");
            }
        })
    };
    for value in 1..=2 {
        line.1.store(u64::from(value), Relaxed);
        line.0.post(value);
    }
    waiter.join().unwrap();
}

/// Two ring, one waits for both.
fn bell(_: Fault) {
    let line = Arc::new((Gate::default(), <[AtomicU64; 2]>::default()));
    let ringers = [0, 1].map(|i| {
        let line = line.clone();
        thread::spawn(move || {
            line.1[i].store(1, Relaxed);
            line.0.ring();
        })
    });
    let mut seen = 0;
    while line.1.iter().any(|word| word.load(Relaxed) == 0) {
        wait(&line.0, &mut seen);
    }
    ringers.into_iter().for_each(|ringer| ringer.join().unwrap());
}

/// A name, the model, and its forced switches.
type Model = (&'static str, fn(Fault), usize);

/// Cheapest first: a mutant runs through them until one catches it.
const MODELS: [Model; 7] = [
    ("observer", observer, 5),
    ("gate", gate, 3),
    ("bell", bell, 2),
    ("withdrawal", withdrawal, 4),
    ("rounds 1x2", rounds::<1, 2>, 3),
    ("rounds 2x1", rounds::<2, 1>, 2),
    ("rounds 2x2", rounds::<2, 2>, 2),
];

fn run((_, model, preemptions): Model, fault: Fault) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(move || model(fault));
}

static EXPECTED: AtomicBool = AtomicBool::new(false);

/// Weakening is global, so models must not run side by side.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    static HOOK: Once = Once::new();
    // Once and before the first model: loom's coroutines put a hook of their own on top, which must stay.
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !EXPECTED.load(SeqCst) {
                loud(info);
            }
        }));
    });
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The model that catches this, and what it says.
fn caught(point: Option<SyncPoint>, fault: Fault) -> Option<(&'static str, String)> {
    sync::weaken(point);
    EXPECTED.store(true, SeqCst);
    let by = MODELS.into_iter().find_map(|model| {
        let panic = panic::catch_unwind(|| run(model, fault)).err()?;
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
        Some((model.0, text.lines().next().unwrap_or_default().chars().take(60).collect()))
    });
    EXPECTED.store(false, SeqCst);
    sync::weaken(None);
    by
}

/// Prints which model catches which mutant; each must be caught.
fn all_caught<T: std::fmt::Debug + Copy>(mutants: &[T], mutate: impl Fn(T) -> (Option<SyncPoint>, Fault)) {
    let _alone = alone();
    let mut missed = Vec::new();
    for mutant in mutants {
        let (point, fault) = mutate(*mutant);
        match caught(point, fault) {
            Some((by, why)) => println!("{:<18} {by:<12} {why}", format!("{mutant:?}")),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn the_protocol_holds() {
    let _alone = alone();
    for model in MODELS {
        let start = Instant::now();
        run(model, Fault::None);
        println!("{:<18} holds, {:.2} s", model.0, start.elapsed().as_secs_f64());
    }
}

#[test]
fn every_ordering_matters() {
    all_caught(&SyncPoint::ALL, |point| (Some(point), Fault::None));
}

#[test]
fn every_step_matters() {
    all_caught(&Fault::ALL, |fault| (None, fault));
}
