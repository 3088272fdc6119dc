//! Are all values of a row finite? Asked for every row of every round, so with the widest vectors there are.
#![allow(unsafe_code, reason = "calls code for processor features that were just detected")]

/// Exponents of ones: NaN or infinity.
const ONES_32: u32 = 0x7f80_0000;
const ONES_64: u64 = 0x7ff0_0000_0000_0000;

/// Is every f32 of these bits finite?
#[inline]
pub fn all_finite_f32(bits: &[u32]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the feature was just detected.
        return unsafe { f32_avx2(bits) };
    }
    f32_any(bits)
}

/// Is every f64 of these bits finite?
#[inline]
pub fn all_finite_f64(bits: &[u64]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the feature was just detected.
        return unsafe { f64_avx2(bits) };
    }
    f64_any(bits)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn f32_avx2(bits: &[u32]) -> bool {
    f32_any(bits)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn f64_avx2(bits: &[u64]) -> bool {
    f64_any(bits)
}

// Written once; compiled for whatever the caller may use. Or-ing integers, unlike adding floats, has no order,
// so it is done in vectors.
#[inline(always)]
fn f32_any(bits: &[u32]) -> bool {
    bits.iter().fold(0, |bad, b| bad | u32::from(b & ONES_32 == ONES_32)) == 0
}

#[inline(always)]
fn f64_any(bits: &[u64]) -> bool {
    bits.iter().fold(0, |bad, b| bad | u64::from(b & ONES_64 == ONES_64)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_value_anywhere_is_found() {
        for n in 0..70 {
            let good = vec![f32::MAX.to_bits(); n];
            assert!(all_finite_f32(&good) && f32_any(&good));
            for at in 0..n {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let mut row = good.clone();
                    row[at] = bad.to_bits();
                    assert!(!all_finite_f32(&row) && !f32_any(&row));
                    let mut wide = vec![f64::MIN.to_bits(); n];
                    assert!(all_finite_f64(&wide) && f64_any(&wide));
                    wide[at] = f64::from(bad).to_bits();
                    assert!(!all_finite_f64(&wide) && !f64_any(&wide));
                }
            }
        }
    }
}
