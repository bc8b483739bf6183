//! The kernels against the slowest way to write them, on random shapes and values.

use crate::plan::Random;
use crate::{
    Activation, Builder, Conv, Depthwise, Error, Padding, Plan, Quant, Shape, Tensor, Window,
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
    weights: Vec<i16>,
    bias: Vec<i32>,
    scales: Vec<f32>,
    output: Quant,
    activation: Activation,
    picture: Vec<u8>,
}

impl Case {
    fn random(random: &mut Random) -> Self {
        let mut side = |most| 1 + random.below(most);
        let [rows, columns, channels] = [side(9), side(9), side(40)];
        let (kernel, stride) = ([side(3), side(3)], [side(2), side(2)]);
        let fits = kernel[0] <= rows && kernel[1] <= columns;
        let channels_out = side(40);
        let depthwise = random.below(2) == 0;
        let channels_out = if depthwise { channels } else { channels_out };
        let padding = if fits && random.below(2) == 0 { Padding::Valid } else { Padding::Same };
        let depth = kernel[0] * kernel[1] * if depthwise { 1 } else { channels };
        let quant = |random: &mut Random| Quant {
            scale: 0.001 + random.below(1000) as f32 * 1e-5,
            zero_point: random.byte(),
        };
        let weight = |random: &mut Random| i16::from(random.byte()) - i16::from(random.byte());
        let shape = Shape { rows, columns, channels };
        let bias = |random: &mut Random| i32::from(weight(random)) * 40;
        // Wide enough that most results are neither 0 nor 255.
        let spread = (depth as f32).sqrt() * 3.0;
        let input = Tensor { shape, quant: quant(random) };
        let scale = |random: &mut Random| 0.001 + random.below(100) as f32 * 1e-5;
        let output = Quant { scale: input.quant.scale * spread, zero_point: random.byte() };
        let activations = [Activation::None, Activation::Relu, Activation::Relu6];
        Self {
            input,
            depthwise,
            channels_out,
            window: Window { kernel, stride, padding },
            weights: (0..depth * channels_out).map(|_| weight(random)).collect(),
            bias: (0..channels_out).map(|_| bias(random)).collect(),
            scales: (0..channels_out).map(|_| scale(random)).collect(),
            output,
            activation: activations[random.below(3)],
            picture: (0..shape.bytes()).map(|_| random.byte()).collect(),
        }
    }

    fn plan(&self) -> Result<Plan, Error> {
        let (mut builder, input) = Builder::new(self.input)?;
        let Self { window, output, activation, .. } = *self;
        let (weights, bias, weight_scales) = (&*self.weights, &*self.bias, &*self.scales);
        let output = if self.depthwise {
            let step = Depthwise { window, weights, bias, weight_scales, output, activation };
            builder.depthwise(input, &step)?
        } else {
            builder
                .conv(input, &Conv { window, weights, bias, weight_scales, output, activation })?
        };
        builder.finish(&[output])
    }

    fn naive(&self) -> Vec<u8> {
        let Shape { rows, columns, .. } = self.input.shape;
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
        let (kernel, stride) = (self.window.kernel[axis], self.window.stride[axis]);
        match self.window.padding {
            Padding::Valid => ((input - kernel) / stride + 1, 0),
            Padding::Same => {
                let output = input.div_ceil(stride);
                let padding = signed((output - 1) * stride + kernel) - signed(input);
                (output, padding.max(0) / 2)
            }
        }
    }

    fn sum(&self, corner: [isize; 2], channel: usize) -> i64 {
        let Shape { rows, columns, channels } = self.input.shape;
        let [high, wide] = self.window.kernel;
        let mut sum = i64::from(self.bias[channel]);
        for down in 0..high {
            for across in 0..wide {
                let (row, column) = (corner[0] + signed(down), corner[1] + signed(across));
                if !(0..signed(rows)).contains(&row) || !(0..signed(columns)).contains(&column) {
                    continue;
                }
                let place = row.unsigned_abs() * columns + column.unsigned_abs();
                let tap = down * wide + across;
                let mut add = |from: usize, weight: usize| {
                    let value = i64::from(self.picture[place * channels + from])
                        - i64::from(self.input.quant.zero_point);
                    sum += value * i64::from(self.weights[weight]);
                };
                if self.depthwise {
                    add(channel, tap * channels + channel);
                } else {
                    let row = (channel * high * wide + tap) * channels;
                    (0..channels).for_each(|from| add(from, row + from));
                }
            }
        }
        sum
    }

    fn store(&self, sum: i64, channel: usize) -> u8 {
        let multiplier = self.input.quant.scale * self.scales[channel] / self.output.scale;
        let zero_point = f32::from(self.output.zero_point);
        let value = libm::rintf(sum as f32 * multiplier) + zero_point;
        let real = |real: f32| libm::rintf(real / self.output.scale) + zero_point;
        let value = match self.activation {
            Activation::None => value,
            Activation::Relu => value.max(real(0.0)),
            Activation::Relu6 => value.max(real(0.0)).min(real(6.0)),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let stored = value.clamp(0.0, 255.0) as u8;
        stored
    }
}

fn signed(side: usize) -> isize {
    side.cast_signed()
}

#[test]
fn kernels_equal_the_naive_twin() {
    let mut random = Random(2);
    let mut spread = [0_usize; 256];
    for round in 0..1500 {
        let case = Case::random(&mut random);
        let plan = case.plan().expect("a sound case");
        let mut arena = vec![0xa5; plan.arena_bytes()];
        let mut patch = vec![0x5a5a; plan.patch_len()];
        plan.input(&mut arena).copy_from_slice(&case.picture);
        plan.run(&mut arena, &mut patch);
        let expect = case.naive();
        assert_eq!(plan.output(0, &arena), expect, "round {round}: {case:?}");
        for byte in expect {
            spread[usize::from(byte)] += 1;
        }
    }
    let middle: usize = spread[1..255].iter().sum();
    assert!(middle > spread[0] + spread[255], "the cases are not all at the ends");
}

#[test]
fn what_does_not_fit_is_refused() {
    type Spoil = fn(&mut Case);
    let mut random = Random(5);
    for _ in 0..200 {
        let whole = Case::random(&mut random);
        let Shape { rows, columns, channels } = whole.input.shape;
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
            assert_eq!(case.plan().err(), Some(error), "{rows} {columns} {channels}");
        }
    }
    let quant = Quant { scale: 1.0, zero_point: 0 };
    for (rows, error) in [(0, Error::Window), (1 << 15, Error::TooLarge)] {
        let shape = Shape { rows, columns: 3, channels: 3 };
        assert_eq!(Builder::new(Tensor { shape, quant }).err(), Some(error));
    }
}
