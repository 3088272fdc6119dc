//! Two clocks: the simulator steps every `control_dt`, the cluster solves every `cluster_dt`.

/// Two periods are the same, and a ratio is whole, within this share.
const TOLERANCE: f64 = 1e-6;

/// More control steps per round than this is a mistaken unit, and would blunt the tolerance.
const MAX_RATIO: f64 = 100_000.0;

/// The checked pair of periods; `cluster_dt` is a whole multiple of `control_dt`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    control_dt: f64,
    cluster_dt: f64,
    ratio: u64,
}

impl Rates {
    /// Both periods in seconds.
    pub fn new(control_dt: f64, cluster_dt: f64) -> Result<Self, RatesError> {
        for (name, secs) in [("control_dt", control_dt), ("cluster_dt", cluster_dt)] {
            check_period(name, secs)?;
        }
        let exact = cluster_dt / control_dt;
        let ratio = exact.round().max(1.0);
        if exact > MAX_RATIO {
            return Err(RatesError::TooFarApart { control_dt, cluster_dt });
        }
        if (exact - ratio).abs() > TOLERANCE * ratio {
            // Numbers made for reading: 0.015, not 0.015000000000000001.
            let tidy = |secs: f64| format!("{secs:.11e}").parse().unwrap_or(secs);
            let below = exact.floor().max(1.0);
            return Err(RatesError::NotWhole {
                control_dt,
                cluster_dt,
                cluster_dts: [tidy(below * control_dt), tidy((below + 1.0) * control_dt)],
                nearest_control_dt: tidy(cluster_dt / ratio),
            });
        }
        Ok(Self { control_dt, cluster_dt, ratio: ratio as u64 })
    }

    /// The simulator's period, in seconds.
    pub fn control_dt(&self) -> f64 {
        self.control_dt
    }

    /// The cluster's period, in seconds.
    pub fn cluster_dt(&self) -> f64 {
        self.cluster_dt
    }

    /// Control steps per round, at least 1.
    pub fn ratio(&self) -> u64 {
        self.ratio
    }

    /// Whether the cluster solves at this control step. It does at step 0: the first command must
    /// come from somewhere.
    pub fn is_cluster_instant(&self, step: u64) -> bool {
        step.is_multiple_of(self.ratio)
    }

    /// The cluster's own count of the last instant at or before this control step, from 0.
    pub fn cluster_step(&self, step: u64) -> u64 {
        step / self.ratio
    }

    /// Compares a controller's own period, in seconds, with the cluster's.
    pub fn check_controller_dt(&self, dt: f64) -> Result<(), RatesError> {
        check_period("the controller's dt", dt)?;
        match (dt - self.cluster_dt).abs() <= TOLERANCE * self.cluster_dt {
            true => Ok(()),
            false => Err(RatesError::Controller { dt, cluster_dt: self.cluster_dt }),
        }
    }
}

fn check_period(name: &'static str, secs: f64) -> Result<(), RatesError> {
    match secs.is_normal() && secs > 0.0 {
        true => Ok(()),
        false => Err(RatesError::NotAPeriod { name, secs }),
    }
}

/// Why a pair of periods is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RatesError {
    /// Not a positive finite number.
    #[error("{name} is {secs} s; it must be a finite number above 0")]
    NotAPeriod {
        /// Which period.
        name: &'static str,
        /// Its value, in seconds.
        secs: f64,
    },
    /// `cluster_dt` is no whole multiple of `control_dt`.
    #[error(
        "cluster_dt {cluster_dt} s is not a whole multiple of control_dt {control_dt} s; \
         nearest: cluster_dt {} or {}, or control_dt {nearest_control_dt}",
        cluster_dts[0], cluster_dts[1]
    )]
    NotWhole {
        /// As given, in seconds.
        control_dt: f64,
        /// As given, in seconds.
        cluster_dt: f64,
        /// The two nearest that would do, in seconds.
        cluster_dts: [f64; 2],
        /// The nearest that would do instead, in seconds.
        nearest_control_dt: f64,
    },
    /// The ratio is beyond any use.
    #[error(
        "cluster_dt {cluster_dt} s is more than {MAX_RATIO} times control_dt {control_dt} s; \
         are both in seconds?"
    )]
    TooFarApart {
        /// As given, in seconds.
        control_dt: f64,
        /// As given, in seconds.
        cluster_dt: f64,
    },
    /// A controller was built for another period.
    #[error(
        "the controller's dt is {dt} s and cluster_dt is {cluster_dt} s; \
         build the controller with the cluster's"
    )]
    Controller {
        /// The controller's, in seconds.
        dt: f64,
        /// The cluster's, in seconds.
        cluster_dt: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_ratios() {
        for (control, cluster, ratio) in
            [(0.005, 0.02, 4), (1e-3, 0.03, 30), (0.02, 0.02, 1), (1.0 / 60.0, 0.1, 6)]
        {
            assert_eq!(Rates::new(control, cluster).unwrap().ratio(), ratio);
        }
        let rates = Rates::new(0.005, 0.02).unwrap();
        let instants: Vec<u64> = (0..10).filter(|&step| rates.is_cluster_instant(step)).collect();
        assert_eq!(instants, [0, 4, 8]);
        assert_eq!([0, 3, 4, 9].map(|step| rates.cluster_step(step)), [0, 0, 1, 2]);
    }

    #[test]
    fn refusals_print_what_would_do() {
        assert_eq!(
            Rates::new(0.005, 0.018).unwrap_err().to_string(),
            "cluster_dt 0.018 s is not a whole multiple of control_dt 0.005 s; \
             nearest: cluster_dt 0.015 or 0.02, or control_dt 0.0045"
        );
        assert_eq!(
            Rates::new(0.02, 0.005).unwrap_err().to_string(),
            "cluster_dt 0.005 s is not a whole multiple of control_dt 0.02 s; \
             nearest: cluster_dt 0.02 or 0.04, or control_dt 0.005"
        );
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-320] {
            assert!(matches!(Rates::new(bad, 1.0), Err(RatesError::NotAPeriod { name: "control_dt", .. })));
            assert!(Rates::new(1.0, bad).is_err());
        }
        assert!(matches!(Rates::new(1e-6, 20.0), Err(RatesError::TooFarApart { .. })));
        assert!(Rates::new(f64::MIN_POSITIVE, f64::MAX).is_err());
    }

    #[test]
    fn a_controllers_dt_is_the_clusters() {
        let rates = Rates::new(0.005, 0.02).unwrap();
        assert!(rates.check_controller_dt(0.02 + 1e-9).is_ok());
        let error = rates.check_controller_dt(0.01).unwrap_err().to_string();
        assert!(error.contains("0.01 s") && error.contains("0.02 s"), "{error}");
        assert!(rates.check_controller_dt(f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn what_a_refusal_proposes_is_accepted(control_dt in 1e-4..0.1f64, cluster_dt in 1e-4..1.0f64) {
            let refusal = Rates::new(control_dt, cluster_dt).err();
            if let Some(RatesError::NotWhole { cluster_dts, nearest_control_dt, .. }) = refusal {
                for cluster_dt in cluster_dts {
                    prop_assert!(Rates::new(control_dt, cluster_dt).is_ok());
                }
                prop_assert!(Rates::new(nearest_control_dt, cluster_dt).is_ok());
            }
        }

        #[test]
        fn multiples_are_accepted(control_dt in 1e-5..0.1f64, ratio in 1u64..1000) {
            prop_assert_eq!(Rates::new(control_dt, control_dt * ratio as f64).unwrap().ratio(), ratio);
        }
    }
}
