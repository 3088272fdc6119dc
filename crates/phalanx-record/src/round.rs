//! Rounds as rows, so that they are written and read as everything else.

use phalanx::{Dtype, Field, Group, Result, observer::RoundView, schema::Record};

macro_rules! round {
    ($($name:ident: $dtype:ident, $type:ty, $unit:literal, $doc:literal, $($path:ident).+;)*) => {
        /// A round's values as a record.
        pub fn record() -> Result<Record> {
            Record::place(Group::Status, vec![
                $(Field::new(stringify!($name), $unit, $doc).dtype(Dtype::$dtype),)*
            ])
        }

        /// A round as a row.
        pub fn to_row(record: &Record, view: &RoundView) -> Vec<u64> {
            let mut row = vec![0; record.words()];
            $(if let Ok(handle) = record.handle::<$type>(stringify!($name)) {
                handle.of_mut(&mut row)[0] = view.$($path).+;
            })*
            row
        }

        /// A row as a round.
        pub fn of_row(record: &Record, row: &[u64]) -> RoundView {
            let mut view = RoundView::default();
            $(if let Ok(handle) = record.handle::<$type>(stringify!($name)) {
                view.$($path).+ = handle.of(row)[0];
            })*
            view
        }
    };
}

round! {
    round: U64, u64, "", "its number", round;
    posted_ns: U64, u64, "ns", "monotonic time it was triggered", posted_ns;
    sim_time_s: F64, f64, "s", "simulated time of its state", sim_time_s;
    post_us: F64, f64, "us", "time to tell all workers", stages.post_us;
    wake_us: F64, f64, "us", "time until the first of them turned to it", stages.wake_us;
    solve_us: F64, f64, "us", "time until the last of them had finished", stages.solve_us;
    gather_us: F64, f64, "us", "time until the last answer was in the client's tables", stages.gather_us;
    total_us: F64, f64, "us", "all of that time", stages.total_us;
    copy_in_us: F64, f64, "us", "time to bring the inputs from a device before", copy_in_us;
    copy_out_us: F64, f64, "us", "time to hand the outputs to a device after", copy_out_us;
    answered: U32, u32, "", "rows that answered usably", answered;
    failed: U32, u32, "", "rows that failed", failed;
    late: U32, u32, "", "rows late", late;
    dead: U32, u32, "", "rows dead", dead;
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::Stages;

    #[test]
    fn a_round_survives_its_row() {
        let stages = Stages { post_us: 1.0, wake_us: 2.0, solve_us: 3.0, gather_us: 4.0, total_us: 10.0 };
        let view = RoundView {
            round: 7,
            posted_ns: 8,
            sim_time_s: 0.1,
            stages,
            copy_in_us: 5.0,
            copy_out_us: 6.0,
            answered: 9,
            failed: 10,
            late: 11,
            dead: 12,
        };
        let record = record().unwrap();
        assert_eq!(of_row(&record, &to_row(&record, &view)), view);
    }
}
