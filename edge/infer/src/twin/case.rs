//! One random convolution, and the slowest way to compute it.

use crate::plan::Random;
use crate::{
    Activation, Alone, Builder, Conv, Depthwise, Element, Error, FullyConnected, Isa, Op, Padding,
    Plan, Quant, Shape, Target, Tensor, Weights, Window,
};
use std::vec;
use std::vec::Vec;

/// What a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Conv,
    /// Each channel has kernels of its own.
    Depthwise,
    /// A convolution of one tap, as the naive twin sees it.
    Full,
}

/// One convolution with values.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) input: Tensor,
    kind: Kind,
    channels_out: usize,
    pub(super) window: Window,
    pub(super) weights: Vec<i8>,
    weight_zero: i8,
    pub(super) bias: Vec<i32>,
    pub(super) scales: Vec<f32>,
    pub(super) output: Quant,
    activation: Activation,
    pub(super) picture: Vec<u8>,
}

/// The sides of a case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides {
    /// Rows, columns and channels.
    input: [usize; 3],
    kind: Kind,
    /// Output channels; of a depthwise case, for each channel.
    out: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
}

/// How large weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    /// Anything.
    All,
    /// Only the least and the most, in pictures too.
    Ends,
    /// At most so far from the zero point.
    Near(u8),
}

impl Spread {
    pub(super) fn random(random: &mut Random) -> Self {
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
        let kind = [Kind::Depthwise, Kind::Conv][random.below(2)];
        let multiplier = if random.below(3) == 0 { 1 + random.below(4) } else { 1 };
        let out = if kind == Kind::Depthwise { multiplier } else { out };
        Self { input, kind, out, kernel, stride, dilation }
    }

    /// Just below, at and just above what kernels take in one go.
    pub(super) fn edges(random: &mut Random) -> Self {
        let mut any = |sides: &[usize]| sides[random.below(sides.len())];
        let channels = [1, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 130];
        let depths = [1, 4, 27, 31, 32, 33, 64, 68, 127, 512, 1030];
        let places = [1, 2, 3, 5, 6, 7, 8, 11, 12, 13, 25];
        let (input, out) = ([any(&places), any(&places)], any(&channels));
        if any(&[0, 1]) == 0 {
            let input = [input[0], input[1], any(&depths)];
            let kernel = [any(&[1, 1, 1, 2]), 1];
            return Self { input, kind: Kind::Conv, out, kernel, stride: [1; 2], dilation: [1; 2] };
        }
        let input = [input[0], input[1], out];
        let (kernel, stride) = ([any(&[1, 3, 3, 3, 5]); 2], [any(&[1, 1, 2]); 2]);
        Self { input, kind: Kind::Depthwise, out: 1, kernel, stride, dilation: [1; 2] }
    }

    /// The same sides of a full connection.
    pub(super) fn full(self) -> Self {
        Self { kind: Kind::Full, kernel: [1; 2], stride: [1; 2], dilation: [1; 2], ..self }
    }
}

impl Case {
    pub(super) fn random(random: &mut Random, most: usize) -> Self {
        let sides = Sides::random(random, most);
        Self::of(sides, Spread::random(random), random)
    }

    pub(super) fn of(sides: Sides, spread: Spread, random: &mut Random) -> Self {
        let Sides { input: [rows, columns, channels], kind, out, .. } = sides;
        let depthwise = kind == Kind::Depthwise;
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
        let element = [Element::U8, Element::I8][random.below(2)](quant);
        Self {
            input: Tensor { shape, element },
            kind,
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

    pub(super) fn plan(&self, isa: Isa, ways: usize) -> Result<Plan, Error> {
        let (mut builder, input) = Builder::new(Target { isa, ways }, self.input)?;
        let Self { window, activation, .. } = *self;
        let (stored, scales) = (&*self.weights, &*self.scales);
        let weights = Weights { stored, zero_point: self.weight_zero, scales };
        let bias = &*self.bias;
        let op = match self.kind {
            Kind::Conv => Op::Conv(Conv { window, weights, bias, activation }),
            Kind::Depthwise => Op::Depthwise(Depthwise { window, weights, bias, activation }),
            Kind::Full => Op::FullyConnected(FullyConnected { weights, bias, activation }),
        };
        let output = builder.add(&op, &[input], self.output_form())?;
        builder.finish(&[output])
    }

    fn output_form(&self) -> Tensor {
        let [rows, columns, _] = self.input.shape.as_picture().expect("a picture");
        let sides = (self.side(0, rows).0, self.side(1, columns).0);
        let shape = Shape::picture(sides.0, sides.1, self.channels_out).expect("small");
        Tensor { shape, element: self.element(self.output) }
    }

    /// An element of the input's type.
    fn element(&self, quant: Quant) -> Element {
        match self.input.element {
            Element::I8(_) => Element::I8(quant),
            _ => Element::U8(quant),
        }
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
                if self.kind == Kind::Depthwise {
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
        let excess = f32::from(self.input.element.excess());
        let real =
            |real: f32| libm::rintf(real / self.output.scale + (zero_point - excess)) + excess;
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

    /// Scales that come to multipliers of `mantissa * 2^exponent`, one half of the exponent from
    /// the weights and the other from the output.
    pub(super) fn multiply_by(&mut self, exponent: i32, random: &mut Random) {
        let (weights, output) = (exponent / 2, exponent - exponent / 2);
        self.input.element = self.element(Quant { scale: 1.0, ..self.quant() });
        self.output.scale = libm::ldexpf(1.0, -output);
        self.scales.fill_with(|| libm::ldexpf(1.0 + random.below(256) as f32 / 256.0, weights));
    }

    /// Biases that let sums come as near to the ends of `i32` as is let through.
    pub(super) fn raise_biases(&mut self, random: &mut Random) {
        let (zero, zero_point) = (i64::from(self.weight_zero), i64::from(self.quant().zero_point));
        for channel in 0..self.channels_out {
            let weights = self.weights_of(channel).map(|weight| i64::from(weight) - zero);
            let (sum, reach) = weights
                .fold((0, 0), |(sum, reach), weight| (sum + weight, reach + weight.abs() * 255));
            let most = i64::from(i32::MAX) - reach - i64::from(random.byte() % 3);
            let folded = [most, -most][random.below(2)];
            self.bias[channel] = i32::try_from(folded + sum * zero_point).expect("within reach");
        }
    }

    fn weights_of(&self, channel: usize) -> impl Iterator<Item = i8> {
        let depth = self.weights.len() / self.channels_out;
        let (first, step) = match self.kind {
            Kind::Depthwise => (channel, self.channels_out),
            Kind::Conv | Kind::Full => (channel * depth, 1),
        };
        self.weights[first..].iter().step_by(step).take(depth).copied()
    }

    /// What the naive twin makes of it, and every instruction set with it.
    pub(super) fn compare(&self, round: usize) -> Vec<u8> {
        let expect = self.naive();
        for isa in Isa::all() {
            let got = self.run(isa, 1);
            assert!(got == expect, "{isa:?}, round {round}: {self:?}\n{got:?}\n{expect:?}");
        }
        expect
    }

    pub(super) fn run(&self, isa: Isa, ways: usize) -> Vec<u8> {
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
