//! After a few rounds, a round allocates nothing: neither here nor in the worker.
//! A test of its own program, because the count is of the whole process.

mod common;

use common::{config, hosted, nothing_left, set_ref};
use phalanx::{ClusterClient, Outcome, Rows, Wait};
use phalanx_faulty::allocations;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{alloc::System, time::Duration};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_round_allocates_nothing() {
    for (hosted_as, threads) in [("plain", 1), ("faulty", 1), ("threaded", 2), ("group", 1)] {
        let mut config = config(32);
        config.cpu.threads = threads;
        let name = config.name.clone();
        let server = hosted(config, hosted_as);
        let mut client = server.client().unwrap();
        let mask: Vec<_> = (0..32).map(|row| row % 3 == 0).collect();
        let pattern = client.refs.handle::<f32>("pattern").unwrap();
        let rounds = |client: &mut ClusterClient| {
            let before = allocations();
            for round in 0..50 {
                client.refs.fill(pattern, &[round as f32]);
                let half = client.trigger(0..16).unwrap();
                let other = client.trigger(16..32).unwrap();
                assert!(client.wait(other, Wait::default()).unwrap().all_solved());
                assert!(client.wait(half, Wait::until(Duration::from_secs(20))).unwrap().all_solved());
                assert_eq!(client.solve(Rows::Mask(&mask)).unwrap().count(Outcome::Solved), 11);
                client.reset(Rows::Ids(&[3, 17])).unwrap();
            }
            allocations() - before
        };
        rounds(&mut client);
        // The server lives here, too, and on a busy machine it is a while at the end of the start.
        let quiet = || {
            let before = allocations();
            std::thread::sleep(Duration::from_millis(50));
            allocations() == before
        };
        assert!((0..100).any(|_| quiet()), "nobody asks for anything, and yet something allocates");
        let worker = |client: &ClusterClient| (0..32).map(|row| client.status.of(row).cost as u64).max();
        client.solve(Rows::All).unwrap();
        let before = worker(&client);
        assert!(before > Some(0), "its program counts");
        assert_eq!(rounds(&mut client), 0, "the client of {hosted_as}");
        client.solve(Rows::All).unwrap();
        assert_eq!(worker(&client), before, "the worker of {hosted_as}");

        let observer = phalanx::Observer::attach(&name).unwrap();
        let mut follower = observer.follow(0..32).unwrap();
        let mut words = [0; 8];
        let mut record = phalanx::observer::RowRecord::default();
        let mut look = |client: &mut ClusterClient| {
            client.solve(Rows::All).unwrap();
            let before = allocations();
            assert_eq!(follower.poll(|record| assert_eq!(record.round, client.round())), 32);
            for row in 0..32 {
                assert_eq!(observer.status(row).unwrap().round, client.round());
                assert!(observer.latest_of(row, phalanx::Group::Cmd, &mut words).is_some());
                assert!(observer.latest_into(row, &mut record).unwrap());
            }
            allocations() - before
        };
        look(&mut client);
        assert_eq!((0..20).map(|_| look(&mut client)).sum::<usize>(), 0, "an observer of {hosted_as}");

        let operator = phalanx::Operator::attach(&name).unwrap();
        operator.set(5, &[("pattern", &[1.0])]).unwrap();
        client.solve(Rows::All).unwrap();
        let before = worker(&client);
        for _ in 0..20 {
            set_ref(&mut client, "pattern", 5, 2.0);
            client.solve(Rows::All).unwrap();
            assert_eq!(client.status.of(5).overridden, 1);
        }
        assert_eq!(worker(&client), before, "the worker of {hosted_as}, with an operator");
        drop((operator, client, server));
        nothing_left(&name);
    }
}
