//! Plans that move on with the clock, whatever their nodes are apart.

/// How far the plans of some rows are behind the clock: rounds come every `period`, nodes are `dt` apart.
#[derive(Clone, Debug)]
pub struct Pace {
    dt: f64,
    period: f64,
    horizon: f64,
    /// Time since each row's plan last moved on.
    behind: Vec<f64>,
    moved: Vec<usize>,
}

impl Pace {
    /// For rows with plans of so many nodes. Times in s.
    pub fn new(rows: usize, nodes: usize, dt: f64, period: f64) -> Self {
        Self {
            dt,
            period,
            horizon: nodes as f64 * dt,
            behind: vec![0.0; rows],
            moved: Vec::with_capacity(rows),
        }
    }

    /// A row begins anew.
    pub fn reset(&mut self, row: usize) {
        self.behind[row] = 0.0;
    }

    /// A period has passed for these rows. Shifts plans by a node as often as is due.
    pub fn pass(&mut self, rows: &[usize], mut shift: impl FnMut(&[usize])) {
        for &row in rows {
            // What is more than the horizon behind has nothing left to move.
            self.behind[row] = (self.behind[row] + self.period).min(self.horizon);
        }
        loop {
            self.moved.clear();
            for &row in rows {
                // Sums of steps that are not exact in binary must not cost a node.
                if self.behind[row] > self.dt * (1.0 - 1e-6) {
                    self.behind[row] -= self.dt;
                    self.moved.push(row);
                }
            }
            if self.moved.is_empty() {
                return;
            }
            shift(&self.moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_pass_as_time_does() {
        for (dt, period, rounds, due) in
            [(0.1, 0.1, 7, 7), (0.1, 0.05, 9, 4), (0.1, 0.3, 3, 9), (1e-9, 1.0, 2, 10)]
        {
            let (mut pace, mut shifts) = (Pace::new(3, 5, dt, period), [0; 3]);
            for _ in 0..rounds {
                pace.pass(&[0, 2], |rows| rows.iter().for_each(|&row| shifts[row] += 1));
            }
            assert_eq!(shifts, [due, 0, due], "{dt} {period}");
        }
    }

    #[test]
    fn a_reset_row_owes_nothing() {
        let (mut pace, mut shifts) = (Pace::new(1, 5, 0.1, 0.05), 0);
        pace.pass(&[0], |_| shifts += 1);
        pace.reset(0);
        pace.pass(&[0], |_| shifts += 1);
        assert_eq!(shifts, 0);
    }
}
