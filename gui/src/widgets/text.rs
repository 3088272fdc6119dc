//! Numbers as people read them, always with their unit.

/// Four digits that count; a dash for what is not a number.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "–".into()
    } else if size == 0.0 {
        "0".into()
    } else if !(1e-4..1e7).contains(&size) {
        format!("{value:.2e}")
    } else {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 7) as usize;
        let text = format!("{value:.digits$}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').into(),
            false => text,
        }
    }
}

/// A number and its unit; times go from µs to s as they grow.
pub fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "us" | "µs" => duration_us(value),
        "" => number(value),
        unit => format!("{} {unit}", number(value)),
    }
}

/// A time given in µs, in the unit that suits it.
pub fn duration_us(us: f64) -> String {
    let three = |value: f64| {
        let digits = if value.abs() >= 100.0 {
            0
        } else if value.abs() >= 10.0 {
            1
        } else {
            2
        };
        format!("{value:.digits$}")
    };
    match us.abs() {
        _ if !us.is_finite() => "–".into(),
        size if size < 999.5 => format!("{} µs", three(us)),
        size if size < 999.5e3 => format!("{} ms", three(us * 1e-3)),
        _ => format!("{} s", three(us * 1e-6)),
    }
}

/// A unit as it is written: µ instead of u.
pub fn unit(unit: &str) -> &str {
    match unit {
        "us" => "µs",
        other => other,
    }
}

/// A name and its unit, such as `solve_us [µs]`.
pub fn with_unit(name: &str, of: &str) -> String {
    if of.is_empty() { name.into() } else { format!("{name} [{}]", unit(of)) }
}

/// A count and its noun: `1 row`, `5 rows`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// How a value is spread, in words: the middle half, then all but the outermost.
pub fn spread(quantiles: &[f32; 7], unit: &str) -> String {
    let [least, q5, q25, median, q75, q95, greatest] = quantiles.map(|q| quantity(q.into(), unit));
    format!(
        "median {median} · half of the rows {q25} to {q75} · 9 of 10 {q5} to {q95} · all {least} to {greatest}"
    )
}

/// Round steps of 1, 2 or 5 that divide a stretch into about so many.
pub fn ticks(low: f64, high: f64, about: usize) -> Vec<f64> {
    let wide = high - low;
    if !wide.is_finite() || wide <= 0.0 || about == 0 {
        return Vec::new();
    }
    let rough = wide / about as f64;
    let decade = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|s| s * decade).into_iter().find(|s| *s >= rough * 0.999);
    let step = step.unwrap_or(10.0 * decade);
    if step <= 0.0 || (low / step).abs() > 1e12 || (high / step).abs() > 1e12 {
        return Vec::new();
    }
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|n| n as f64 * step).collect()
}

/// A tick of [`ticks`], with as many digits as its neighbours need.
pub fn tick(value: f64, step: f64) -> String {
    let digits = (-step.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    if value != 0.0 && (step < 1e-6 || value.abs() >= 1e7) {
        return format!("{value:.1e}");
    }
    // No minus before a zero.
    format!("{:.digits$}", if value == 0.0 { 0.0 } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_honest() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(1.0), "1");
        assert_eq!(number(-1234.567), "-1235");
        assert_eq!(number(0.012345), "0.01235");
        assert_eq!(number(1e-9), "1.00e-9");
        assert_eq!(number(f64::NAN), "–");
        assert_eq!(quantity(2.5, "N m"), "2.5 N m");
        assert_eq!(quantity(2500.0, "us"), "2.50 ms");
        assert_eq!(duration_us(999.7), "1.00 ms");
        assert_eq!(duration_us(12.34), "12.3 µs");
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(0, "row"), "0 rows");
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(-0.11, 0.11, 2), [0.0]);
        assert!(ticks(1.0, 1.0, 4).is_empty());
        assert!(ticks(f64::NAN, 1.0, 4).is_empty());
        assert!(ticks(1e20, 1e20 + 1e5, 4).len() < 10);
        assert_eq!(tick(0.25, 0.05), "0.25");
        assert_eq!(tick(-0.0, 0.5), "0.0");
    }

    #[test]
    fn a_spread_is_told_in_words() {
        let text = spread(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "N");
        assert_eq!(text, "median 4 N · half of the rows 3 N to 5 N · 9 of 10 2 N to 6 N · all 1 N to 7 N");
    }
}
