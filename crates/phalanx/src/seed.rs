//! One seed for all rows, so that a run repeats whatever the number of workers.

/// The seed of a row: any two rows of one seed, and one row of any two seeds, have nothing to do with each other.
pub fn row_seed(seed: u64, row: usize) -> u64 {
    mix(mix(seed.wrapping_add(STEP)).wrapping_add((row as u64 + 1).wrapping_mul(STEP)))
}

/// 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_splitmix64_of_splitmix64() {
        // The first numbers of the generator with seed 0, as published.
        assert_eq!(mix(STEP), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(STEP.wrapping_mul(2)), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(row_seed(0, 0), mix(0xe220_a839_7b1d_cdaf_u64.wrapping_add(STEP)));
    }

    #[test]
    fn rows_and_seeds_are_strangers() {
        let mut all: Vec<u64> =
            (0..100).flat_map(|seed| (0..100).map(move |row| row_seed(seed, row))).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 10_000);
    }
}
