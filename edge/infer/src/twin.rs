//! The kernels of every instruction set against the slowest way to write them, on random
//! shapes and values.

mod case;

use self::case::{Case, Sides, Spread};
use crate::plan::Random;
use crate::{Error, Isa, Shape};

/// One of the exponents from `first` to `last`.
fn exponent(random: &mut Random, first: i32, last: i32) -> i32 {
    let count = usize::try_from(last - first + 1).expect("in order");
    first + i32::try_from(random.below(count)).expect("small")
}

/// One in how many cases is tried: an emulator takes its time over them.
fn every() -> usize {
    std::env::var("NIGHTJAR_ONE_IN").ok().and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// Small ones, whose borders are most of them, and a few that are deep and wide.
fn cases() -> impl Iterator<Item = Case> {
    let mut random = Random(2);
    (0..1500).map(move |round| {
        let most = if round % 50 == 0 { 300 } else { 40 };
        Case::random(&mut random, most)
    })
}

/// Shapes at the edges of what kernels take in one go.
fn edges() -> impl Iterator<Item = Case> {
    let mut random = Random(7);
    (0..600).map(move |_| {
        let sides = Sides::edges(&mut random);
        Case::of(sides, Spread::random(&mut random), &mut random)
    })
}

/// Full connections, at the same edges.
fn full() -> impl Iterator<Item = Case> {
    let mut random = Random(13);
    (0..200).map(move |_| {
        let sides = Sides::edges(&mut random).full();
        Case::of(sides, Spread::random(&mut random), &mut random)
    })
}

/// A few of each.
fn few() -> impl Iterator<Item = Case> {
    cases().step_by(10).chain(edges().step_by(6)).chain(full().step_by(4))
}

#[test]
fn kernels_equal_the_naive_twin() {
    let mut spread = [0_usize; 256];
    for (round, case) in cases().chain(edges()).chain(full()).enumerate().step_by(every()) {
        for byte in case.compare(round) {
            spread[usize::from(byte)] += 1;
        }
    }
    let middle: usize = spread[1..255].iter().sum();
    assert!(middle > spread[0] + spread[255], "the cases are not all at the ends");
}

/// From 2^-149, the smallest number there is, to 2^-126, the smallest that is not denormal.
#[test]
fn kernels_equal_it_with_denormal_multipliers() {
    let mut random = Random(17);
    for (round, mut case) in few().enumerate().step_by(every()) {
        let exponent = exponent(&mut random, -149, -126);
        case.multiply_by(exponent, &mut random);
        case.compare(round);
    }
}

/// From those whose products leave `i32` to 2^127, the last binade.
#[test]
fn kernels_equal_it_with_huge_multipliers() {
    let mut random = Random(19);
    for (round, mut case) in few().enumerate().step_by(every()) {
        let exponent = exponent(&mut random, 8, 127);
        case.multiply_by(exponent, &mut random);
        case.compare(round);
    }
}

#[test]
fn kernels_equal_it_with_sums_at_the_ends_of_their_bits() {
    let mut random = Random(23);
    for (round, mut case) in few().enumerate().step_by(every()) {
        // 2^31 is 128 steps then, or more.
        case.multiply_by(-24, &mut random);
        case.raise_biases(&mut random);
        case.compare(round);
    }
}

/// Where products are added in 16 bits, these are the ones that do not fit.
#[test]
fn the_largest_products_fit() {
    let mut random = Random(3);
    for (round, mut case) in cases().step_by(5).enumerate() {
        let ends = |random: &mut Random, low: u8, high: u8| [low, high][random.below(2)];
        case.weights.fill_with(|| ends(&mut random, 0x80, 0x7f).cast_signed());
        case.picture.fill_with(|| ends(&mut random, 0, u8::MAX));
        if round % 3 == 0 {
            case.weights.fill(i8::MIN);
            case.picture.fill(0);
        }
        case.output.scale *= 3.0;
        case.compare(round);
    }
}

#[test]
fn parts_equal_the_whole() {
    let mut random = Random(11);
    let mut cut = 0;
    for round in 0..60 {
        let mut case = Case::random(&mut random, 40);
        // Enough work to be worth a cut.
        let [rows, columns] = [60 + random.below(9), 60 + random.below(9)];
        let channels = case.input.shape.as_picture().expect("a picture")[2];
        case.input.shape = Shape::picture(rows, columns, channels).expect("small");
        case.picture = (0..case.input.shape.count()).map(|_| random.byte()).collect();
        let whole = case.run(Isa::SCALAR, 1);
        for isa in Isa::all() {
            for ways in [2, 3, 5] {
                let got = case.run(isa, ways);
                assert!(got == whole, "{isa:?}, {ways} ways, round {round}: {case:?}");
            }
        }
        let [one, two] = [1, 2].map(|ways| case.plan(Isa::best(), ways).expect("sound"));
        cut += usize::from(two.arena_bytes() > one.arena_bytes());
    }
    assert!(cut > 20, "{cut} cases were cut into parts");
}

#[test]
fn what_does_not_fit_is_refused() {
    type Spoil = fn(&mut Case);
    let mut random = Random(5);
    for _ in 0..200 {
        let whole = Case::random(&mut random, 40);
        let table: [(Spoil, Error); 5] = [
            (|case| case.weights.push(1), Error::Lengths),
            (|case| case.scales.push(1.0), Error::Lengths),
            (|case| case.scales[0] = f32::NAN, Error::Scale),
            (|case| case.bias[0] = i32::MIN, Error::Overflow),
            (|case| case.window.stride = [0, 1], Error::Window),
        ];
        for (spoil, error) in table {
            let mut case = whole.clone();
            spoil(&mut case);
            assert_eq!(case.plan(Isa::SCALAR, 1).err(), Some(error), "{case:?}");
        }
    }
}
