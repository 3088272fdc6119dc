use super::*;
use proptest::prelude::*;

/// Every operation on two numbers, as one list per lane.
struct Everything<'a>(&'a [[f64; 3]]);

impl Visitor for Everything<'_> {
    type Out = Vec<Vec<f64>>;

    fn visit<T: Real>(self) -> Self::Out {
        let blocks = self.0.chunks(T::LANES).map(|chunk| {
            let pick =
                |part: usize| T::from_lanes(|lane| chunk.get(lane).map_or(0.0, |numbers| numbers[part]));
            let out = T::enter(All([pick(0), pick(1), pick(2)]));
            (0..chunk.len()).map(|lane| out.iter().map(|x| x.lane(lane)).collect()).collect::<Vec<Vec<f64>>>()
        });
        blocks.collect::<Vec<_>>().concat()
    }
}

struct All<T>([T; 3]);

impl<T: Real> Job for All<T> {
    type Out = Vec<T>;

    #[inline(always)]
    fn run(self) -> Vec<T> {
        let Self([a, b, c]) = self;
        let truth = |mask: T::Mask| T::select(mask, T::one(), T::zero());
        let (sin, cos) = a.sin_cos();
        vec![
            a + b,
            a - b,
            a * b,
            a / b,
            -a,
            a.mul_add(b, c),
            a.sub_mul(b, c),
            a.abs().sqrt(),
            a.min(b),
            a.max(b),
            a.clamped(b, c),
            truth(a.lt(b)),
            truth(a.le(b) & !b.lt(c)),
            truth(a.is_finite() | b.le(c)),
            truth(T::Mask::from_lanes(|lane| a.lane(lane) > 0.0)),
            truth(T::Mask::splat(a.le(a).all())),
            sin,
            cos,
            a.round(),
            b.exp(),
            (a * a).ln(),
            a.negated_where_odd(b.round()),
            (a * a).split().0,
            (a * a).split().1,
        ]
    }
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

proptest! {
    #[test]
    fn a_lane_computes_what_the_fused_scalar_computes(numbers in prop::collection::vec(prop::array::uniform3(-90.0..90.0f64), 1..20)) {
        let double = Isa::scalar().visit(Everything(&numbers));
        let single = Isa::scalar().visit_single(Everything(&numbers));
        for isa in Isa::available().filter(|isa| *isa > Isa::Fused) {
            for (alone, among) in [(&double, isa.visit(Everything(&numbers))), (&single, isa.visit_single(Everything(&numbers)))] {
                for (i, (a, b)) in alone.iter().flatten().zip(among.iter().flatten()).enumerate() {
                    prop_assert!(same(*a, *b), "{isa:?} number {i}: {a} alone, {b} in a lane");
                }
            }
        }
    }

    #[test]
    fn elementary_functions_are_right(x in -1e4..1e4f64, y in -80.0..80.0f64) {
        for isa in Isa::available() {
            let out = &isa.visit(Everything(&[[x, y, 0.0]]))[0];
            let [sin, cos, round, exp] = [out[16], out[17], out[18], out[19]];
            prop_assert!((sin - x.sin()).abs() < 1e-15 && (cos - x.cos()).abs() < 1e-15, "{isa:?} {x}: {sin} {cos}");
            prop_assert_eq!(round, x.round_ties_even());
            prop_assert!((exp / y.exp() - 1.0).abs() < 1e-14, "{isa:?} {y}: {exp}");
            let ln = (x * x).ln();
            prop_assert!((out[20] - ln).abs() < 4e-16 * ln.abs().max(0.1), "{isa:?} {x}: {} for {ln}", out[20]);
            let (x, y) = ((x / 100.0) as f32, y as f32);
            let out = &isa.visit_single(Everything(&[[x.into(), y.into(), 0.0]]))[0];
            prop_assert!((out[16] as f32 - x.sin()).abs() < 3e-7 && (out[17] as f32 - x.cos()).abs() < 3e-7, "{isa:?} {x}: {}", out[16]);
            prop_assert!((out[19] / f64::from(y).exp() - 1.0).abs() < 1e-5, "{isa:?} {y}: {}", out[19]);
            let ln = f64::from(x * x).ln();
            prop_assert!((out[20] - ln).abs() < 2.5e-7 * ln.abs().max(0.1), "{isa:?} {x}: {} for {ln}", out[20]);
        }
    }
}

#[test]
fn what_is_not_finite_stays_where_it_is() {
    for isa in Isa::available() {
        let out = isa.visit(Everything(&[
            [f64::NAN, 1.0, 2.0],
            [f64::INFINITY, 1.0, 2.0],
            [1e300, -1e9, 1e9],
            [3.0, 1.0, 2.0],
        ]));
        assert_eq!(out[0][13] + out[1][13], 2.0, "1 is less than 2");
        assert_eq!(
            [out[0][10], out[1][10], out[3][10]],
            [1.0, 2.0, 2.0],
            "{isa:?}: NaN is clamped to the lower bound"
        );
        assert_eq!((out[2][16], out[2][17], out[2][19]), (0.0, 1.0, 0.0), "{isa:?}: far beyond");
        assert!(out[3].iter().all(|x| x.is_finite()));
        assert_eq!(
            (out[3][21], out[3][22], out[3][23]),
            (-3.0, 1.125, 3.0),
            "{isa:?}: -3, and 9 = 1.125 · 8"
        );
        assert!(out[0][20] < -700.0 && (700.0..710.0).contains(&out[1][20]), "{isa:?}: finite logarithms");
        assert_eq!(isa.lanes(), isa.visit(Width));
    }
}

/// As [`Everything`], with numbers side by side.
struct SideBySide<'a>(&'a [[f64; 3]]);

impl Visitor for SideBySide<'_> {
    type Out = Vec<Vec<f64>>;

    fn visit<T: Real>(self) -> Self::Out {
        let out = Everything(self.0).visit::<Abreast<T, 3>>();
        let x = Abreast::<T, 3>::from_lanes(|lane| lane as f64).with_lane(1, -1.0);
        assert_eq!(Abreast::<T, 3>::LANES, 3 * T::LANES);
        assert_eq!((x.lane(1), x.lane(3 * T::LANES - 1)), (-1.0, (3 * T::LANES - 1) as f64));
        let last = <Abreast<T, 3> as Real>::Mask::from_lanes(|lane| lane == 3 * T::LANES - 1);
        assert!(last.any() && !last.all() && last.lane(3 * T::LANES - 1) && !last.lane(0));
        out
    }
}

proptest! {
    #[test]
    fn side_by_side_is_as_alone(numbers in prop::collection::vec(prop::array::uniform3(-90.0..90.0f64), 1..60)) {
        for isa in Isa::available() {
            let alone = [isa.visit(Everything(&numbers)), isa.visit_single(Everything(&numbers))].concat();
            let beside = [isa.visit(SideBySide(&numbers)), isa.visit_single(SideBySide(&numbers))].concat();
            for (a, b) in alone.iter().flatten().zip(beside.iter().flatten()) {
                prop_assert!(same(*a, *b), "{isa:?}: {a} alone, {b} beside others");
            }
        }
    }
}

struct Width;

impl Visitor for Width {
    type Out = usize;
    fn visit<T: Real>(self) -> usize {
        T::LANES
    }
}

#[test]
fn the_narrowest_is_always_there() {
    assert_eq!(Isa::available().next(), Some(Isa::Plain));
    assert!(Isa::scalar() <= Isa::widest() && Isa::scalar().lanes() == 1);
}
