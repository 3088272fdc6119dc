//! Normal numbers that are a function of where they are used, and of nothing else: no generator has a state, so what a
//! sample is does not depend on who computes it, or beside what.

use crate::lanes::Real;
use std::f64::consts::TAU;

/// As many lanes as a number may have.
const MOST: usize = 64;

/// Names one round of samples of one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u32; 2]);

impl Key {
    /// Any two rounds of one seed, and one round of any two seeds, have nothing to do with each other.
    pub fn new(seed: u64, tick: u64, round: u32) -> Self {
        let key = mix(mix(seed ^ mix(tick)).wrapping_add(round.into()));
        Self([key as u32, (key >> 32) as u32])
    }

    /// Pair number `pair` of the normal numbers of samples `first`, `first + 1`, …, one per lane: the method of Box and
    /// Muller.
    #[inline(always)]
    pub fn normals<T: Real>(self, first: u32, pair: u32) -> (T, T) {
        // 24 bits, which single precision holds exactly: from above 0 to 1, and from 0 to below 1.
        let (mut a, mut b) = ([0.0f32; MOST], [0.0f32; MOST]);
        for lane in 0..T::LANES {
            let words = threefry(self.0, [first.wrapping_add(lane as u32), pair]);
            a[lane] = ((words[0] >> 8) + 1) as i32 as f32 * 2f32.powi(-24);
            b[lane] = (words[1] >> 8) as i32 as f32 * 2f32.powi(-24);
        }
        let radius = (T::from_lanes(|lane| a[lane].into()).ln() * T::splat(-2.0)).sqrt();
        let (sin, cos) = (T::from_lanes(|lane| b[lane].into()) * T::splat(TAU)).sin_cos();
        (radius * cos, radius * sin)
    }
}

/// Threefry-2x32 of Salmon, Moraes, Dror and Shaw 2011, with the 13 rounds that pass their tests.
#[inline(always)]
fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let keys = [key[0], key[1], 0x1bd1_1bda ^ key[0] ^ key[1]];
    let mut words = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    // Written out: what is left of a loop here would keep the loop over lanes from becoming vectors.
    for turn in [13, 15, 26, 6] {
        words = turned(words, turn);
    }
    words = [words[0].wrapping_add(keys[1]), words[1].wrapping_add(keys[2]).wrapping_add(1)];
    for turn in [17, 29, 16, 24] {
        words = turned(words, turn);
    }
    words = [words[0].wrapping_add(keys[2]), words[1].wrapping_add(keys[0]).wrapping_add(2)];
    for turn in [13, 15, 26, 6] {
        words = turned(words, turn);
    }
    words = [words[0].wrapping_add(keys[0]), words[1].wrapping_add(keys[1]).wrapping_add(3)];
    turned(words, 17)
}

#[inline(always)]
fn turned([a, b]: [u32; 2], turn: u32) -> [u32; 2] {
    let a = a.wrapping_add(b);
    [a, b.rotate_left(turn) ^ a]
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::{Isa, Job, Visitor};
    use std::marker::PhantomData;

    #[test]
    fn it_is_threefry() {
        // The generator's published known answers.
        assert_eq!(threefry([0; 2], [0; 2]), [0x9d1c_5ec6, 0x8bd5_0731]);
        assert_eq!(threefry([u32::MAX; 2], [u32::MAX; 2]), [0xfd36_d048, 0x2d17_272c]);
        let pi = threefry([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
        assert_eq!(pi, [0xba3e_4725, 0xf27d_669e]);
    }

    /// Both normals of the first so many samples, for one pair.
    struct Draw(Key, u32, u32);

    impl Visitor for Draw {
        type Out = Vec<[f64; 2]>;
        fn visit<T: Real>(self) -> Self::Out {
            let Self(key, samples, pair) = self;
            let blocks = (0..samples).step_by(T::LANES).flat_map(|first| {
                let (a, b) = T::enter(Block::<T>(key, first, pair, PhantomData));
                (0..T::LANES).map(move |lane| [a.lane(lane), b.lane(lane)])
            });
            blocks.take(samples as usize).collect()
        }
    }

    struct Block<T>(Key, u32, u32, PhantomData<T>);

    impl<T: Real> Job for Block<T> {
        type Out = (T, T);
        #[inline(always)]
        fn run(self) -> (T, T) {
            self.0.normals(self.1, self.2)
        }
    }

    #[test]
    fn they_are_normal_and_independent() {
        let n = 200_000;
        let drawn = Isa::widest().visit_single(Draw(Key::new(1, 2, 3), n, 4));
        let n = f64::from(n);
        let mean = |f: &dyn Fn(&[f64; 2]) -> f64| drawn.iter().map(f).sum::<f64>() / n;
        // Five standard deviations of a mean over so many.
        let near = |what: &str, value: f64, wanted: f64, variance: f64| {
            assert!((value - wanted).abs() < 5.0 * (variance / n).sqrt(), "{what}: {value}");
        };
        for i in 0..2 {
            near("mean", mean(&|x| x[i]), 0.0, 1.0);
            near("variance", mean(&|x| x[i].powi(2)), 1.0, 2.0);
            near("skewness", mean(&|x| x[i].powi(3)), 0.0, 15.0);
            near("kurtosis", mean(&|x| x[i].powi(4)), 3.0, 96.0);
            near("within 1", mean(&|x| f64::from(x[i].abs() < 1.0)), 0.682_689_5, 0.22);
            near("beyond 3", mean(&|x| f64::from(x[i].abs() > 3.0)), 0.002_699_8, 0.0027);
        }
        near("of one pair", mean(&|x| x[0] * x[1]), 0.0, 1.0);
        let next: f64 = drawn.windows(2).map(|x| x[0][0] * x[1][0]).sum();
        near("of neighbours", next / n, 0.0, 1.0);
        let other = Isa::widest().visit_single(Draw(Key::new(1, 2, 4), n as u32, 4));
        let rounds: f64 = drawn.iter().zip(&other).map(|(a, b)| a[0] * b[0]).sum();
        near("of two rounds", rounds / n, 0.0, 1.0);
    }

    #[test]
    fn a_sample_is_the_same_in_any_lane() {
        let alone = Isa::scalar().visit_single(Draw(Key::new(7, 0, 0), 50, 9));
        for isa in Isa::available().filter(|isa| *isa >= Isa::scalar()) {
            assert_eq!(isa.visit_single(Draw(Key::new(7, 0, 0), 50, 9)), alone, "{isa:?}");
        }
    }
}
