//! The kernels of every instruction set against the slowest way to write them, on random
//! shapes and values.

use crate::plan::Random;
use crate::{
    Activation, Alone, Builder, Conv, Depthwise, Element, Error, Isa, Op, Padding, Plan, Quant,
    Shape, Target, Tensor, Weights, Window,
};
use std::vec;
use std::vec::Vec;

/// One convolution with values; depthwise where each channel has its own.
#[derive(Debug, Clone)]
struct Case {
    input: Tensor,
    depthwise: bool,
    channels_out: usize,
    window: Window,
    weights: Vec<i8>,
    weight_zero: i8,
    bias: Vec<i32>,
    scales: Vec<f32>,
    output: Quant,
    activation: Activation,
    picture: Vec<u8>,
}

/// The sides of a case.
#[derive(Debug, Clone, Copy)]
struct Sides {
    /// Rows, columns and channels.
    input: [usize; 3],
    depthwise: bool,
    /// Output channels; of a depthwise case, for each channel.
    out: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
}

/// How large weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// Anything.
    All,
    /// Only the least and the most, in pictures too.
    Ends,
    /// At most so far from the zero point.
    Near(u8),
}

impl Spread {
    fn random(random: &mut Random) -> Self {
        [Self::All, Self::Ends, Self::Near(8), Self::Near(20), Self::Near(60)][random.below(5)]
    }

    fn weight(self, zero: i8, random: &mut Random) -> i8 {
        let byte = random.byte();
        match self {
            Self::All => byte.cast_signed(),
            Self::Ends => [i8::MIN, i8::MAX][usize::from(byte % 2)],
            Self::Near(most) => {
                let away = (byte % (2 * most + 1)).cast_signed() - most.cast_signed();
                zero.saturating_add(away)
            }
        }
    }

    fn value(self, random: &mut Random) -> u8 {
        let byte = random.byte();
        if self == Self::Ends { [0, u8::MAX][usize::from(byte % 2)] } else { byte }
    }

    /// By how much weights are smaller than any.
    fn scale(self) -> f32 {
        match self {
            Self::All | Self::Ends => 1.0,
            Self::Near(most) => 128.0 / f32::from(most),
        }
    }
}

impl Sides {
    /// `most` channels, and a few more rows and columns than a kernel.
    fn random(random: &mut Random, most: usize) -> Self {
        let mut side = |most| 1 + random.below(most);
        let input = [side(9), side(9), side(most)];
        let (kernel, stride) = ([side(3), side(3)], [side(2), side(2)]);
        let (dilation, out) = ([side(2), side(2)], side(most));
        let depthwise = random.below(2) == 0;
        let multiplier = if random.below(3) == 0 { 1 + random.below(4) } else { 1 };
        let out = if depthwise { multiplier } else { out };
        Self { input, depthwise, out, kernel, stride, dilation }
    }

    /// Just below, at and just above what kernels take in one go.
    fn edges(random: &mut Random) -> Self {
        let mut any = |sides: &[usize]| sides[random.below(sides.len())];
        let channels = [1, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 130];
        let depths = [1, 4, 27, 31, 32, 33, 64, 68, 127, 512, 1030];
        let places = [1, 2, 3, 5, 6, 7, 8, 11, 12, 13, 25];
        let (input, out) = ([any(&places), any(&places)], any(&channels));
        if any(&[0, 1]) == 0 {
            let input = [input[0], input[1], any(&depths)];
            let kernel = [any(&[1, 1, 1, 2]), 1];
            return Self { input, depthwise: false, out, kernel, stride: [1; 2], dilation: [1; 2] };
        }
        let input = [input[0], input[1], out];
        let (kernel, stride) = ([any(&[1, 3, 3, 3, 5]); 2], [any(&[1, 1, 2]); 2]);
        Self { input, depthwise: true, out: 1, kernel, stride, dilation: [1; 2] }
    }
}

impl Case {
    fn random(random: &mut Random, most: usize) -> Self {
        let sides = Sides::random(random, most);
        Self::of(sides, Spread::random(random), random)
    }

    fn of(sides: Sides, spread: Spread, random: &mut Random) -> Self {
        let Sides { input: [rows, columns, channels], depthwise, out, .. } = sides;
        let Sides { kernel, stride, dilation, .. } = sides;
        let reach = [0, 1].map(|at| (kernel[at] - 1) * dilation[at] + 1);
        let fits = reach[0] <= rows && reach[1] <= columns;
        let padding = if fits && random.below(2) == 0 { Padding::Valid } else { Padding::Same };
        let depth = kernel[0] * kernel[1] * if depthwise { 1 } else { channels };
        let channels_out = if depthwise { channels * out } else { out };
        let quant =
            Quant { scale: 0.001 + random.below(1000) as f32 * 1e-5, zero_point: random.byte() };
        let zero = if random.below(2) == 0 { 0 } else { random.byte().cast_signed() };
        let shape = Shape::picture(rows, columns, channels).expect("small");
        let bias = |random: &mut Random| i32::from(random.byte().cast_signed()) * 80;
        let scale =
            |random: &mut Random| (0.001 + random.below(100) as f32 * 1e-5) * spread.scale();
        // Wide enough that most results are neither 0 nor 255.
        let scales = quant.scale * (depth as f32).sqrt() * 3.0;
        let output = Quant { scale: scales, zero_point: random.byte() };
        let activations =
            [Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1];
        Self {
            input: Tensor { shape, element: Element::U8(quant) },
            depthwise,
            channels_out,
            window: Window { kernel, stride, dilation, padding },
            weights: (0..depth * channels_out).map(|_| spread.weight(zero, random)).collect(),
            weight_zero: zero,
            bias: (0..channels_out).map(|_| bias(random)).collect(),
            scales: (0..channels_out).map(|_| scale(random)).collect(),
            output,
            activation: activations[random.below(4)],
            picture: (0..shape.count()).map(|_| spread.value(random)).collect(),
        }
    }

    fn plan(&self, isa: Isa, ways: usize) -> Result<Plan, Error> {
        let (mut builder, input) = Builder::new(Target { isa, ways }, self.input)?;
        let Self { window, activation, .. } = *self;
        let (stored, scales) = (&*self.weights, &*self.scales);
        let weights = Weights { stored, zero_point: self.weight_zero, scales };
        let bias = &*self.bias;
        let op = if self.depthwise {
            Op::Depthwise(Depthwise { window, weights, bias, activation })
        } else {
            Op::Conv(Conv { window, weights, bias, activation })
        };
        let output = builder.add(&op, &[input], self.output_form())?;
        builder.finish(&[output])
    }

    fn output_form(&self) -> Tensor {
        let [rows, columns, _] = self.input.shape.as_picture().expect("a picture");
        let sides = (self.side(0, rows).0, self.side(1, columns).0);
        let shape = Shape::picture(sides.0, sides.1, self.channels_out).expect("small");
        Tensor { shape, element: Element::U8(self.output) }
    }

    fn quant(&self) -> Quant {
        self.input.quant().expect("quantized")
    }

    fn naive(&self) -> Vec<u8> {
        let [rows, columns, _] = self.input.shape.as_picture().expect("a picture");
        let (height, top) = self.side(0, rows);
        let (width, left) = self.side(1, columns);
        let mut stored = Vec::new();
        for row in 0..height {
            for column in 0..width {
                for channel in 0..self.channels_out {
                    let [down, across] = self.window.stride;
                    let corner = [signed(row * down) - top, signed(column * across) - left];
                    stored.push(self.store(self.sum(corner, channel), channel));
                }
            }
        }
        stored
    }

    /// Outputs along an axis, and padding before the first input.
    fn side(&self, axis: usize, input: usize) -> (usize, isize) {
        let Window { kernel, stride, dilation, padding } = self.window;
        let (reach, stride) = ((kernel[axis] - 1) * dilation[axis] + 1, stride[axis].max(1));
        match padding {
            Padding::Valid => ((input - reach) / stride + 1, 0),
            Padding::Same => {
                let output = input.div_ceil(stride);
                let padding = signed((output - 1) * stride + reach) - signed(input);
                (output, padding.max(0) / 2)
            }
        }
    }

    fn sum(&self, corner: [isize; 2], channel: usize) -> i64 {
        let [rows, columns, channels] = self.input.shape.as_picture().expect("a picture");
        let Window { kernel: [high, wide], dilation, .. } = self.window;
        let mut sum = i64::from(self.bias[channel]);
        for down in 0..high {
            for across in 0..wide {
                let row = corner[0] + signed(down * dilation[0]);
                let column = corner[1] + signed(across * dilation[1]);
                if !(0..signed(rows)).contains(&row) || !(0..signed(columns)).contains(&column) {
                    continue;
                }
                let place = row.unsigned_abs() * columns + column.unsigned_abs();
                let tap = down * wide + across;
                let mut add = |from: usize, weight: usize| {
                    let value = i64::from(self.picture[place * channels + from])
                        - i64::from(self.quant().zero_point);
                    let weight = i64::from(self.weights[weight]) - i64::from(self.weight_zero);
                    sum += value * weight;
                };
                if self.depthwise {
                    let multiplier = self.channels_out / channels;
                    add(channel / multiplier, tap * self.channels_out + channel);
                } else {
                    let row = (channel * high * wide + tap) * channels;
                    (0..channels).for_each(|from| add(from, row + from));
                }
            }
        }
        sum
    }

    fn store(&self, sum: i64, channel: usize) -> u8 {
        let multiplier = self.quant().scale * self.scales[channel] / self.output.scale;
        let zero_point = f32::from(self.output.zero_point);
        let value = libm::rintf(sum as f32 * multiplier) + zero_point;
        let real = |real: f32| libm::rintf(real / self.output.scale + zero_point);
        let value = match self.activation {
            Activation::None => value,
            Activation::Relu => value.max(real(0.0)),
            Activation::Relu6 => value.max(real(0.0)).min(real(6.0)),
            Activation::ReluN1To1 => value.max(real(-1.0)).min(real(1.0)),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let stored = value.clamp(0.0, 255.0) as u8;
        stored
    }

    fn run(&self, isa: Isa, ways: usize) -> Vec<u8> {
        let plan = self.plan(isa, ways).expect("a sound case");
        let mut arena = vec![0xa5; plan.arena_bytes()];
        plan.input(&mut arena).copy_from_slice(&self.picture);
        plan.run(&mut arena, &Alone);
        plan.output(0, &arena).to_vec()
    }
}

fn signed(side: usize) -> isize {
    side.cast_signed()
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

#[test]
fn kernels_equal_the_naive_twin() {
    let mut spread = [0_usize; 256];
    for (round, case) in cases().chain(edges()).enumerate().step_by(every()) {
        let expect = case.naive();
        for isa in Isa::all() {
            let got = case.run(isa, 1);
            assert!(got == expect, "{isa:?}, round {round}: {case:?}\n{got:?}\n{expect:?}");
        }
        for byte in expect {
            spread[usize::from(byte)] += 1;
        }
    }
    let middle: usize = spread[1..255].iter().sum();
    assert!(middle > spread[0] + spread[255], "the cases are not all at the ends");
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
        let expect = case.naive();
        for isa in Isa::all() {
            let got = case.run(isa, 1);
            assert!(got == expect, "{isa:?}, round {round}: {case:?}\n{got:?}\n{expect:?}");
        }
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
