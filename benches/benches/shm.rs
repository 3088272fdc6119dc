//! What the round's pieces cost inside one process, where nobody else wants the cache lines: the least that a
//! row can cost, to be held against `phalanx bench`, where they travel between cores.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use phalanx_shm::{
    Answer, Gate, Handoff, Slot, SlotReader, Spin, copy_in, copy_out,
    sync::{AtomicU64, Ordering},
};
use std::{hint::black_box, time::Duration};

/// Words of a row: the state of 12 joints and 4 contacts, and one with a height map of 32 × 32.
const ROWS: [usize; 2] = [60, 572];

fn words(len: usize) -> Vec<AtomicU64> {
    (0..len as u64).map(AtomicU64::new).collect()
}

fn copies(c: &mut Criterion) {
    let mut group = c.benchmark_group("copy a row");
    for len in ROWS {
        let (shared, own, mut into) = (words(len), vec![1u64; len], vec![0u64; len]);
        group.throughput(Throughput::Bytes(8 * len as u64));
        group.bench_function(BenchmarkId::new("in", len), |b| {
            b.iter(|| copy_in(black_box(&shared), black_box(&mut into)));
        });
        group.bench_function(BenchmarkId::new("out", len), |b| {
            b.iter(|| copy_out(black_box(&own), black_box(&shared)));
        });
        group.bench_function(BenchmarkId::new("memcpy", len), |b| {
            b.iter(|| black_box(&mut into).copy_from_slice(black_box(&own)));
        });
    }
}

fn gate(c: &mut Criterion) {
    let (gate, mut spin) = (Gate::default(), Spin::new(Duration::from_millis(1)));
    // The common case when both sides spin: no system call, but a full fence.
    c.bench_function("ring a gate where nobody sleeps", |b| b.iter(|| black_box(&gate).ring()));
    c.bench_function("ring a gate and pass it", |b| {
        b.iter(|| {
            let seen = gate.value();
            gate.ring();
            black_box(gate.wait(seen, &mut spin, None))
        });
    });
}

fn slot(c: &mut Criterion) {
    let mut group = c.benchmark_group("slot");
    for len in ROWS {
        let (shared, own, mut into) = (words(len + 1), vec![1u64; len], vec![0u64; len]);
        let mut serial = 0;
        group.throughput(Throughput::Bytes(8 * len as u64));
        group.bench_function(BenchmarkId::new("write", len), |b| {
            b.iter(|| {
                serial += 1;
                let slot = Slot::over(black_box(&shared));
                copy_out(black_box(&own), slot.begin(serial));
                slot.end(serial);
            });
        });
        group.bench_function(BenchmarkId::new("read", len), |b| {
            b.iter(|| {
                black_box(SlotReader::over(black_box(&shared)).read(&mut into)).expect("nobody writes it now")
            });
        });
    }
}

fn handoff(c: &mut Criterion) {
    let (ask, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let row = Handoff { ask: &ask, done: &done };
    let mut round = 0;
    c.bench_function("ask a row and answer it", |b| {
        b.iter(|| {
            round += 1;
            black_box(row).make(round, 0);
            let asked = black_box(row).pending().expect("just asked");
            assert!(row.still_stands(asked));
            row.reply(Answer { round, slot: 0, code: 1 });
            assert!(black_box(row).answer().is_of(round));
        });
    });
    // What a worker pays for rows that it is not asked for.
    let (asks, dones) = (words(256), words(256));
    asks.iter()
        .zip(&dones)
        .for_each(|(ask, done)| ask.store(done.load(Ordering::Relaxed), Ordering::Relaxed));
    c.bench_function("look at 256 rows, none asked", |b| {
        b.iter(|| {
            let rows = black_box(&asks).iter().zip(&dones).map(|(ask, done)| Handoff { ask, done });
            rows.filter(|row| row.pending().is_some()).count()
        });
    });
}

criterion_group!(benches, copies, gate, slot, handoff);
criterion_main!(benches);
