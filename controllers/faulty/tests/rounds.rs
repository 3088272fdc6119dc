//! Rounds as they should go: subsets, resets, deadlines, pipelining, policies.

mod common;

use common::{cluster, config};
use phalanx::{Outcome, Rows};

#[test]
fn a_round_answers_every_row_with_its_own_values() {
    let server = cluster(config(7));
    let mut client = server.client().unwrap();
    let (q, out) =
        (client.state.handle::<f32>("joint_q").unwrap(), client.cmd.handle::<f32>("joint_q").unwrap());
    for round in 1..=50u64 {
        for row in 0..7 {
            client.state.get_mut(q, row).fill((row as u64 * 1000 + round) as f32);
        }
        let report = client.solve(Rows::All).unwrap();
        assert_eq!(report.round, round);
        assert!(report.all_solved());
        assert_eq!(report.count(Outcome::Solved), 7);
        for row in 0..7 {
            assert_eq!(client.cmd.get(out, row)[0], (row as u64 * 1000 + round) as f32);
            assert_eq!(client.status.of(row).round, round);
        }
    }
    drop(client);
    drop(server);
}
