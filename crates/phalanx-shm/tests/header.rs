//! Hostile headers: whatever the bytes, `parse` refuses them or what it returns is safe to act on.
#![cfg(not(loom))]

use phalanx_shm::{
    Arena, ArenaSpec, Dtype, Toc,
    header::{HEADER_BYTES, MAGIC, MAX_TENSORS, PAGE, Refusal, VERSION, parse},
};
use proptest::prelude::*;

type Page = [u8; HEADER_BYTES];
type Tensor = (String, Dtype, Vec<u64>);

const TABLE: usize = 128;
const ENTRY: usize = 96;

/// Is everything inside, on pages, apart, and as large as its shape says?
fn check(toc: &Toc, file_bytes: u64) {
    assert_eq!(toc.total, file_bytes);
    let mut end = HEADER_BYTES as u64;
    for (i, t) in toc.tensors.iter().enumerate() {
        assert!((1..=32).contains(&t.name.len()) && (1..=4).contains(&t.shape.len()), "{t:?}");
        assert!(toc.tensors[..i].iter().all(|other| other.name != t.name), "{t:?}");
        let elements = t.shape.iter().map(|&n| u128::from(n)).product::<u128>();
        assert_eq!(u128::from(t.bytes), (elements * t.dtype.size() as u128).next_multiple_of(8), "{t:?}");
        assert!(t.offset.is_multiple_of(PAGE) && t.offset >= end, "{t:?}");
        end = t.offset + t.bytes;
    }
    assert!(end <= file_bytes);
}

/// A page written from the table in the documentation, by other code than the library's.
fn page(tensors: &[Tensor]) -> (Page, u64) {
    let mut page = [0; HEADER_BYTES];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    let mut total = PAGE;
    for (i, (name, dtype, shape)) in tensors.iter().enumerate() {
        let at = TABLE + i * ENTRY;
        let bytes = (shape.iter().product::<u64>() * dtype.size() as u64).next_multiple_of(8);
        put(at, name.as_bytes());
        put(at + 32, &[*dtype as u8, shape.len() as u8]);
        shape.iter().enumerate().for_each(|(d, n)| put(at + 40 + 8 * d, &n.to_ne_bytes()));
        put(at + 72, &total.to_ne_bytes());
        put(at + 80, &bytes.to_ne_bytes());
        total = (total + bytes).next_multiple_of(PAGE);
    }
    put(0, &MAGIC.to_ne_bytes());
    put(8, &VERSION.to_ne_bytes());
    put(12, &(HEADER_BYTES as u32).to_ne_bytes());
    put(16, &total.to_ne_bytes());
    put(24, &[7; 16]);
    put(48, &4711u64.to_ne_bytes());
    put(72, &(tensors.len() as u32).to_ne_bytes());
    (page, total)
}

/// Xorshift: a million inputs must not take longer to make than to parse.
struct Dice(u64);

impl Dice {
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.word() % n as u64) as usize
    }

    /// Numbers at which arithmetic goes wrong, and small and wild ones.
    fn nasty(&mut self, total: u64) -> u64 {
        let size = 1 << self.below(64);
        let table = [
            0,
            1,
            PAGE,
            PAGE - 8,
            PAGE + 1,
            total,
            total - PAGE,
            size,
            size - 1,
            u64::MAX / size,
            u64::MAX - 7,
        ];
        match self.below(table.len() + 3) {
            i if i < table.len() => table[i],
            i if i == table.len() => self.word(),
            i if i == table.len() + 1 => self.word() % (4 * PAGE) * PAGE,
            _ => self.word() % 64,
        }
    }

    /// A place in the header or in one of `count` entries, and how many bytes the field there has.
    fn field(&mut self, count: usize) -> (usize, usize) {
        if self.below(4) == 0 {
            return [(0, 8), (8, 4), (12, 4), (16, 8), (24, 8), (48, 8), (56, 8), (64, 8), (72, 4)]
                [self.below(9)];
        }
        let entry = TABLE + self.below(count + 1).min(MAX_TENSORS - 1) * ENTRY;
        let fields =
            [(0, 1), (8, 8), (31, 1), (32, 1), (33, 1), (40, 8), (48, 8), (56, 8), (64, 8), (72, 8), (80, 8)];
        let (at, bytes) = fields[self.below(fields.len())];
        (entry + at, bytes)
    }

    fn tensors(&mut self) -> Vec<Tensor> {
        (0..self.below(MAX_TENSORS + 1))
            .map(|i| {
                let shape = (0..1 + self.below(4)).map(|_| self.below(9) as u64).collect();
                (format!("tensor {i}"), Dtype::ALL[self.below(Dtype::ALL.len())], shape)
            })
            .collect()
    }
}

#[test]
fn a_million_damaged_headers_are_refused_or_safe() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut accepted, mut inputs) = (0, 0);
    while inputs < 1_000_000 {
        let tensors = dice.tensors();
        let (valid, total) = page(&tensors);
        let mut damaged = valid;
        for _ in 0..2000 {
            let mut touched = [0; 8];
            let count = 1 + dice.below(8);
            for at in &mut touched[..count] {
                let value = dice.nasty(total).to_ne_bytes();
                let bytes;
                (*at, bytes) = if dice.below(4) == 0 {
                    (dice.below(HEADER_BYTES), 1)
                } else {
                    dice.field(tensors.len())
                };
                damaged[*at..*at + bytes].copy_from_slice(&value[..bytes]);
            }
            let file_bytes = if dice.below(16) == 0 { dice.nasty(total) } else { total };
            if let Ok(toc) = parse(&damaged, file_bytes) {
                check(&toc, file_bytes);
                accepted += 1;
            }
            inputs += 1;
            for at in touched {
                let end = (at + 8).min(HEADER_BYTES);
                damaged[at..end].copy_from_slice(&valid[at..end]);
            }
        }
    }
    println!("{inputs} damaged headers, {accepted} of them harmless");
    assert!(accepted > inputs / 100 && accepted < inputs / 2, "{accepted}: the damage misses its target");
}

#[test]
fn random_pages_are_refused_or_safe() {
    let mut dice = Dice(88_172_645_463_325_252);
    for round in 0..20_000u64 {
        let mut page = [0; HEADER_BYTES];
        page.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&dice.word().to_ne_bytes()));
        let file_bytes = dice.nasty(1 << 20);
        // From nothing but noise to a header that is right up to its table.
        let (valid, _) = self::page(&[]);
        let right = [0, 8, 16, 72][round as usize % 4];
        page[..right].copy_from_slice(&valid[..right]);
        if right == 72 {
            page[16..24].copy_from_slice(&file_bytes.to_ne_bytes());
            page[72..76].copy_from_slice(&(dice.below(50) as u32).to_ne_bytes());
        }
        if let Ok(toc) = parse(&page, file_bytes) {
            check(&toc, file_bytes);
        }
    }
}

fn a_tensor() -> impl Strategy<Value = (Dtype, Vec<u64>)> {
    (proptest::sample::select(Dtype::ALL), proptest::collection::vec(0u64..40, 1..=4))
}

fn some_tensors(max: usize) -> impl Strategy<Value = Vec<Tensor>> {
    proptest::collection::btree_map("[a-zA-Zä_/ ]{1,16}", a_tensor(), 0..=max)
        .prop_map(|map| map.into_iter().map(|(name, (dtype, shape))| (name, dtype, shape)).collect())
}

fn told(toc: &Toc) -> Vec<Tensor> {
    toc.tensors.iter().map(|t| (t.name.clone(), t.dtype, t.shape.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn what_the_table_says_is_what_parse_reads(tensors in some_tensors(MAX_TENSORS)) {
        let (page, total) = page(&tensors);
        let toc = parse(&page, total).unwrap();
        check(&toc, total);
        prop_assert_eq!(told(&toc), tensors);
        prop_assert_eq!((toc.owner.pid, toc.boot.id), (4711, [7; 16]));
    }

    /// One field of one tensor gets another value: refused, unless that value would have been as good.
    #[test]
    fn one_wrong_field_is_refused_or_safe(
        tensors in some_tensors(8),
        which in 0usize..9,
        field in proptest::sample::select(vec![(0, 1), (32, 1), (33, 1), (40, 8), (48, 8), (72, 8), (80, 8)]),
        value in prop_oneof![any::<u64>(), 0u64..100, (0u64..1 << 20).prop_map(|n| n * PAGE), Just(u64::MAX)],
    ) {
        let (mut page, total) = page(&tensors);
        let at = TABLE + which * ENTRY + field.0;
        page[at..at + field.1].copy_from_slice(&value.to_ne_bytes()[..field.1]);
        if let Ok(toc) = parse(&page, total) {
            check(&toc, total);
        }
    }

    #[test]
    fn another_size_of_file_is_refused(tensors in some_tensors(8), bytes in any::<u64>()) {
        let (page, total) = page(&tensors);
        prop_assume!(bytes != total);
        prop_assert!(matches!(parse(&page, bytes), Err(Refusal::Corrupt(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Through the file and back, and the library's page is the documented one.
    #[test]
    fn a_created_arena_tells_its_specification(tensors in some_tensors(MAX_TENSORS)) {
        let spec = tensors.iter().fold(ArenaSpec::new(), |spec, (name, dtype, shape)| spec.tensor(name, *dtype, shape));
        prop_assume!(spec.total_bytes().unwrap() < 64 << 20);
        let name = format!("t{}-header-{:?}", std::process::id(), std::thread::current().id()).replace(['(', ')'], "");
        let arena = Arena::create(&name, &spec).unwrap().publish();
        let attached = Arena::attach(&name).unwrap();
        check(attached.toc(), spec.total_bytes().unwrap());
        prop_assert_eq!(told(attached.toc()), &tensors[..]);
        prop_assert_eq!(attached.toc(), arena.toc());

        let (documented, _) = page(&tensors);
        let file = std::fs::read(arena.name().path()).unwrap();
        prop_assert_eq!(&file[..24], &documented[..24]);
        prop_assert_eq!(&file[72..HEADER_BYTES], &documented[72..]);
    }
}
