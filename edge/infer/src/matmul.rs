//! Rows of `u8` times packed `i8` weights, requantized: the heart of every convolution.
//!
//! ```text
//! sum[row, channel] = bias[channel] + sum_k row[k] * weight[channel, k] + correction * sum_k row[k]
//! weights: [panel][group of k][channel within the panel][k within the group]
//! ```
//! Weights are stored as `i8` whatever the file has: a `uint8` file's zero point (less 128) is
//! brought in by the sum of the row, the input's is folded into the bias. So one packed form
//! and one kernel an instruction set serve both.

use crate::error::Error;
use crate::requant::{Activation, Requant};
#[cfg(target_arch = "x86_64")]
use crate::simd::avx2::{self, Chains};
#[cfg(target_arch = "x86_64")]
use crate::simd::vnni;
use crate::simd::{Isa, Set};
#[cfg(target_arch = "aarch64")]
use crate::simd::{dot, neon};
use crate::tensor::{Element, Quant};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Weights as the file has them, brought to `i8`.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// `uint8` less 128, `int8` as it is.
    pub stored: &'a [i8],
    /// The stored value that means 0.
    pub zero_point: i8,
    /// One for each output channel; all the same for a per-tensor file.
    pub scales: &'a [f32],
}

impl Weights<'_> {
    /// Refuses others than `depth` weights and one scale for each of `channels`.
    pub(crate) fn check(&self, depth: usize, channels: usize) -> Result<(), Error> {
        let fit = depth.checked_mul(channels).filter(|count| *count > 0);
        let fit = fit == Some(self.stored.len()) && self.scales.len() == channels;
        if fit { Ok(()) } else { Err(Error::Lengths) }
    }
}

/// How weights lie in memory, and how many values a kernel takes in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Output channels of a panel.
    pub(crate) panel: usize,
    /// Values of `k` that lie together.
    pub(crate) group: usize,
    /// Rows that are multiplied together: blocks are cut to whole tiles.
    pub(crate) tile: usize,
    /// Whether rows are read as `i8`, less 128.
    pub(crate) signed: bool,
}

impl Layout {
    /// What a channel's sums lack where rows are read less 128.
    fn lack(self, weights: &[i8]) -> i32 {
        let weights = weights.iter().map(|weight| 128 * i32::from(*weight));
        if self.signed { weights.fold(0, i32::wrapping_add) } else { 0 }
    }
}

/// Most rows of a block: what is laid out together, by callers and by the kernels that want rows
/// in tiles; whole tiles of every kernel.
pub(crate) const BLOCK: usize = 64;

/// Rows to be multiplied: `count` of them, `stride` bytes from one to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

/// A matrix, packed for one instruction set.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) isa: Isa,
    pub(crate) layout: Layout,
    /// Output channels that count.
    pub(crate) channels: usize,
    /// Values of a row that count.
    pub(crate) depth: usize,
    /// Groups of a row.
    pub(crate) groups: usize,
    form: Form,
    /// For whole panels; with the input's zero point folded in.
    pub(crate) bias: Box<[i32]>,
    /// What the sum of a row is multiplied with.
    pub(crate) correction: i32,
    pub(crate) requant: Requant,
}

impl Packed {
    /// Packs `[channels, depth]` weights.
    pub(crate) fn new(
        isa: Isa,
        weights: Weights<'_>,
        bias: &[i32],
        input: Quant,
        output: Element,
        activation: Activation,
    ) -> Result<Self, Error> {
        let channels = bias.len();
        let depth = weights.stored.len().checked_div(channels).ok_or(Error::Lengths)?;
        weights.check(depth, channels)?;
        let layout = isa.layout();
        let padded = channels.next_multiple_of(layout.panel);
        let rows = weights.stored.chunks_exact(depth);
        let mut folded = rows
            .zip(bias)
            .map(|(row, bias)| {
                let bias = fold(row, weights.zero_point, *bias, input.zero_point)?;
                Ok(bias.wrapping_add(layout.lack(row)))
            })
            .collect::<Result<Vec<i32>, Error>>()?;
        folded.resize(padded, 0);
        Ok(Self {
            isa,
            layout,
            channels,
            depth,
            groups: depth.div_ceil(layout.group),
            form: Form::new(isa, weights, depth, padded)?,
            bias: folded.into(),
            correction: -i32::from(weights.zero_point),
            requant: Requant::new(input, weights.scales, padded, output, activation)?,
        })
    }

    /// Bytes of a row that a kernel reads; those beyond the depth count for nothing but must
    /// be 0.
    pub(crate) fn row_bytes(&self) -> usize {
        self.groups * self.layout.group
    }

    /// What the weights, biases and multipliers take.
    pub(crate) fn weight_bytes(&self) -> usize {
        let Self { form, bias, requant, .. } = self;
        form.bytes() + size_of_val(&**bias) + size_of_val(&*requant.multipliers)
    }

    /// Memory that [`Packed::multiply`] wants for `count` rows.
    #[cfg_attr(
        not(any(target_arch = "aarch64", target_arch = "x86_64")),
        expect(unused_variables, reason = "plain Rust wants none")
    )]
    pub(crate) fn scratch_bytes(&self, count: usize) -> usize {
        match &self.form {
            Form::Scalar(_) => 0,
            #[cfg(target_arch = "x86_64")]
            Form::Avx2(_) => 0,
            #[cfg(target_arch = "x86_64")]
            Form::Vnni(_) => vnni::matmul::scratch_bytes(count),
            #[cfg(target_arch = "aarch64")]
            Form::Neon { .. } => neon::matmul::scratch_bytes(self, count),
            #[cfg(target_arch = "aarch64")]
            Form::Dot(_) => dot::scratch_bytes(self, count),
        }
    }

    /// Multiplies rows; `out` is `[count, channels]`.
    #[cfg_attr(
        not(any(target_arch = "aarch64", target_arch = "x86_64")),
        expect(unused_variables, reason = "plain Rust wants none")
    )]
    pub(crate) fn multiply(&self, rows: Rows<'_>, scratch: &mut [u8], out: &mut [u8]) {
        match &self.form {
            Form::Scalar(weights) => self.multiply_scalar(weights, rows, out),
            #[cfg(target_arch = "x86_64")]
            Form::Avx2(chains) => avx2::matmul::multiply(self, chains, rows, out),
            #[cfg(target_arch = "x86_64")]
            Form::Vnni(lines) => vnni::matmul::multiply(self, lines, rows, scratch, out),
            #[cfg(target_arch = "aarch64")]
            Form::Neon { weights, pairs_fit: true } => {
                neon::matmul::multiply::<true>(self, weights, rows, scratch, out);
            }
            #[cfg(target_arch = "aarch64")]
            Form::Neon { weights, pairs_fit: false } => {
                neon::matmul::multiply::<false>(self, weights, rows, scratch, out);
            }
            #[cfg(target_arch = "aarch64")]
            Form::Dot(weights) => dot::multiply(self, weights, rows, scratch, out),
        }
    }

    fn multiply_scalar(&self, weights: &[i8], rows: Rows<'_>, out: &mut [u8]) {
        let length = self.row_bytes();
        for (at, out) in (0..rows.count).zip(out.chunks_exact_mut(self.channels)) {
            let row = &rows.bytes[at * rows.stride..][..length];
            let own = self.correction.wrapping_mul(sum(row));
            for (first, out) in (0..).step_by(CHANNELS).zip(out.chunks_mut(CHANNELS)) {
                let mut sums = [0; CHANNELS];
                let weights = weights[first * length..].chunks_exact(length);
                let channels = self.bias[first..].iter().zip(weights);
                for (sum, (bias, weights)) in sums.iter_mut().zip(channels) {
                    *sum = bias.wrapping_add(own).wrapping_add(dot(row, weights));
                }
                self.requant.store(first, &sums[..out.len()], out);
            }
        }
    }
}

/// Values that the scalar kernel takes in one go.
const LANE: usize = 32;
/// Output channels whose sums the scalar kernel gathers before they are stored.
const CHANNELS: usize = 16;

impl Isa {
    pub(crate) const fn layout(self) -> Layout {
        match self.set() {
            Set::Scalar => Layout { panel: 1, group: LANE, tile: 8, signed: false },
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => Layout { panel: 8, group: 4, tile: avx2::matmul::TILE, signed: false },
            #[cfg(target_arch = "x86_64")]
            Set::Vnni => Layout {
                panel: vnni::matmul::PANEL,
                group: vnni::matmul::GROUP,
                tile: vnni::matmul::TILE,
                signed: false,
            },
            #[cfg(target_arch = "aarch64")]
            Set::Neon => Layout { panel: 4, group: 16, tile: 8, signed: true },
            #[cfg(target_arch = "aarch64")]
            Set::Dot => Layout { panel: 8, group: 4, tile: 8, signed: true },
        }
    }
}

/// Weights as the instruction set's kernel reads them.
#[derive(Debug, Clone)]
enum Form {
    /// In the order above, as the others without a word are.
    Scalar(Box<[i8]>),
    /// In an order of their own, with the zero point taken off.
    #[cfg(target_arch = "x86_64")]
    Avx2(Chains),
    #[cfg(target_arch = "x86_64")]
    Vnni(Box<[vnni::matmul::Line]>),
    /// And whether two products may be added in 16 bits.
    #[cfg(target_arch = "aarch64")]
    Neon { weights: Box<[i8]>, pairs_fit: bool },
    #[cfg(target_arch = "aarch64")]
    Dot(Box<[i8]>),
}

impl Form {
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(clippy::unnecessary_wraps, reason = "only chains can be too long")
    )]
    fn new(isa: Isa, weights: Weights<'_>, depth: usize, padded: usize) -> Result<Self, Error> {
        let packed = || pack(isa.layout(), weights.stored, depth, padded);
        Ok(match isa.set() {
            Set::Scalar => Self::Scalar(packed()),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => Self::Avx2(Chains::new(weights.stored, weights.zero_point, depth)?),
            #[cfg(target_arch = "x86_64")]
            Set::Vnni => Self::Vnni(vnni::matmul::lines(&packed())),
            #[cfg(target_arch = "aarch64")]
            Set::Neon => {
                let weights = packed();
                Self::Neon { pairs_fit: neon::matmul::pairs_fit(&weights), weights }
            }
            #[cfg(target_arch = "aarch64")]
            Set::Dot => Self::Dot(packed()),
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Scalar(weights) => size_of_val(&**weights),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(chains) => chains.bytes(),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(lines) => size_of_val(&**lines),
            #[cfg(target_arch = "aarch64")]
            Self::Neon { weights, .. } | Self::Dot(weights) => size_of_val(&**weights),
        }
    }
}

/// Packs `[channels, depth]` weights as a layout says, zeros beyond the last channel and value.
fn pack(layout: Layout, weights: &[i8], depth: usize, padded: usize) -> Box<[i8]> {
    let Layout { panel, group, .. } = layout;
    let groups = depth.div_ceil(group);
    let mut packed = vec![0; padded * groups * group];
    for (channel, row) in weights.chunks_exact(depth).enumerate() {
        let start = channel / panel * panel * groups + channel % panel;
        for (at, values) in row.chunks(group).enumerate() {
            packed[(start + at * panel) * group..][..values.len()].copy_from_slice(values);
        }
    }
    packed.into()
}

/// The bias of one channel, less what the input's zero point adds to its sums; refused where
/// any input could carry the sum out of 32 bits.
pub(crate) fn fold(weights: &[i8], zero: i8, bias: i32, input_zero: u8) -> Result<i32, Error> {
    let real = |weight: &i8| i64::from(*weight) - i64::from(zero);
    let sum: i64 = weights.iter().map(real).sum();
    let folded = i64::from(bias) - sum * i64::from(input_zero);
    let reach: i64 = weights.iter().map(|weight| real(weight).abs() * 255).sum();
    if folded.abs() + reach > i64::from(i32::MAX) {
        return Err(Error::Overflow);
    }
    i32::try_from(folded).map_err(|_| Error::Overflow)
}

fn sum(row: &[u8]) -> i32 {
    row.iter().fold(0, |sum, value| sum.wrapping_add(i32::from(*value)))
}

/// The sum of products.
///
/// On its own, and straight within a lane, so that compilers see the multiply-add of pairs
/// (`pmaddwd`, `smlal`).
#[inline(never)]
fn dot(row: &[u8], weights: &[i8]) -> i32 {
    let (row, weights) = (row.as_chunks::<LANE>().0, weights.as_chunks::<LANE>().0);
    let mut sum = 0_i32;
    for (a, b) in row.iter().zip(weights) {
        let mut lane = 0;
        for at in 0..LANE {
            lane += i32::from(a[at]) * i32::from(b[at]);
        }
        sum = sum.wrapping_add(lane);
    }
    sum
}
