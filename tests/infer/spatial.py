"""Cases of the operators that weigh or gather over places: convolutions, pools, means, sizes.

Scales are chosen so that outputs fill the byte's range: the sum's standard deviation, guessed
from its terms, becomes some fifty steps of the output.
"""

import math

import numpy as np

from golden import NONE, RELU, RELU6, SAME, VALID, Graph, operator

RANGE = {"int8": (-128, 128), "uint8": (0, 256)}
# Standard deviation of a byte in its whole range, squared.
SPREAD = 74.0**2
# Standard deviation of an output byte that is aimed at.
AIM = 50.0
INPUT_SCALE = 0.025
# Six over it is 150.5, which XNNPACK and TFLite's own kernels round differently.
SIX_SCALE = np.float32(6) / np.float32(150.5)


def values(random, dtype, shape):
    """Bytes of the whole range."""
    return random.integers(*RANGE[dtype], shape)


class Weights:
    """Random filters and biases with their quantization, and the output's that they call for.

    uint8 has one scale and a zero point; int8 has `scales` scales and none.
    """

    def __init__(self, random, dtype, shape, scales, terms, channels, input_zero, activation):
        if dtype == "uint8":
            self.zero = int(random.integers(100, 156))
            self.stored = random.integers(0, 256, shape)
        else:
            self.zero = 0
            self.stored = random.integers(-127, 128, shape)
        self.scale = np.float32(random.uniform(0.004, 0.016, scales))
        middle = sum(RANGE[dtype]) // 2
        sum_spread = math.sqrt(terms * SPREAD * (SPREAD + (input_zero - middle) ** 2))
        self.bias = np.int64(random.normal(0, sum_spread / 3, channels))
        self.output_scale = INPUT_SCALE * float(np.median(self.scale)) * sum_spread / AIM
        if activation == RELU6:
            # Both of its ends lie within the output's range: the weights must fit them.
            self.scale *= np.float32(SIX_SCALE / self.output_scale)
            self.output_scale = SIX_SCALE
        self.bias_scale = np.float32(INPUT_SCALE) * self.scale


def output_zero(dtype, activation):
    """In the middle; towards the low end where a RELU cuts the lower half away."""
    middle = sum(RANGE[dtype]) // 2
    return middle + (3 if activation == NONE else -91)


def windowed(size, kernel, stride, dilation, padding):
    """The length of an output side."""
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == SAME else (size - reach) // stride + 1


def output_shape(shape, channels, kernel, stride, dilation, padding):
    sides = zip(shape[1:3], kernel, stride, dilation)
    return [shape[0], *(windowed(*side, padding) for side in sides), channels]


def conv(vectors, seed, name, dtype, shape, filters, kernel, *, stride=(1, 1), dilation=(1, 1),
         padding=SAME, activation=NONE, channelwise=True):
    random = np.random.default_rng(seed)
    graph = Graph()
    zero = int(random.integers(*RANGE[dtype]))
    x = graph.input(shape, dtype, scale=INPUT_SCALE, zero=zero)
    scales = filters if dtype == "int8" and channelwise else 1
    terms = kernel[0] * kernel[1] * shape[3]
    weights = Weights(random, dtype, (filters, *kernel, shape[3]), scales, terms, filters, zero,
                      activation)
    w = graph.constant(weights.stored, dtype, scale=weights.scale, zero=weights.zero)
    b = graph.constant(weights.bias, "int32", scale=weights.bias_scale)
    y = graph.output(
        output_shape(shape, filters, kernel, stride, dilation, padding), dtype,
        scale=weights.output_scale, zero=output_zero(dtype, activation),
    )
    graph.operator(
        "CONV_2D", [x, w, b], [y], padding=padding, fusedActivationFunction=activation,
        strideH=stride[0], strideW=stride[1],
        dilationHFactor=dilation[0], dilationWFactor=dilation[1],
    )
    vectors.case(name, graph, [values(random, dtype, shape)])


@operator("conv_2d")
def conv_2d(vectors):
    def case(*args, **more):
        conv(vectors, 100 + len(vectors.records), *args, **more)

    case("u8_1x1", "uint8", (1, 5, 5, 7), 5, (1, 1))
    case("u8_3x3_relu", "uint8", (1, 7, 9, 3), 6, (3, 3), activation=RELU)
    case("u8_3x3_stride_2_even", "uint8", (1, 8, 10, 3), 8, (3, 3), stride=(2, 2), activation=RELU6)
    case("u8_5x5_valid", "uint8", (1, 9, 8, 2), 3, (5, 5), padding=VALID)
    case("u8_dilated", "uint8", (1, 9, 9, 3), 5, (3, 3), dilation=(2, 2))
    case("s8_1x1", "int8", (1, 6, 5, 17), 19, (1, 1), activation=RELU)
    case("s8_1x1_stride_2", "int8", (1, 7, 8, 5), 9, (1, 1), stride=(2, 2))
    case("s8_3x3", "int8", (1, 7, 8, 4), 7, (3, 3))
    case("s8_3x3_stride_2_odd_relu6", "int8", (1, 9, 11, 3), 10, (3, 3), stride=(2, 2),
         activation=RELU6)
    case("s8_5x3_strides_2_1", "int8", (1, 11, 7, 3), 4, (5, 3), stride=(2, 1), padding=VALID)
    case("s8_dilated_2_3", "int8", (1, 9, 10, 4), 6, (3, 3), dilation=(2, 3), padding=VALID)
    case("s8_one_scale", "int8", (1, 5, 5, 6), 5, (3, 3), channelwise=False)


def depthwise(vectors, seed, name, dtype, shape, multiplier, kernel, *, stride=(1, 1),
              dilation=(1, 1), padding=SAME, activation=NONE):
    random = np.random.default_rng(seed)
    graph = Graph()
    zero = int(random.integers(*RANGE[dtype]))
    channels = shape[3] * multiplier
    x = graph.input(shape, dtype, scale=INPUT_SCALE, zero=zero)
    scales = channels if dtype == "int8" else 1
    weights = Weights(random, dtype, (1, *kernel, channels), scales, kernel[0] * kernel[1],
                      channels, zero, activation)
    w = graph.constant(weights.stored, dtype, scale=weights.scale, zero=weights.zero,
                       axis=3 if scales > 1 else 0)
    b = graph.constant(weights.bias, "int32", scale=weights.bias_scale)
    y = graph.output(
        output_shape(shape, channels, kernel, stride, dilation, padding), dtype,
        scale=weights.output_scale, zero=output_zero(dtype, activation),
    )
    graph.operator(
        "DEPTHWISE_CONV_2D", [x, w, b], [y], padding=padding, depthMultiplier=multiplier,
        fusedActivationFunction=activation, strideH=stride[0], strideW=stride[1],
        dilationHFactor=dilation[0], dilationWFactor=dilation[1],
    )
    vectors.case(name, graph, [values(random, dtype, shape)])


@operator("depthwise_conv_2d")
def depthwise_conv_2d(vectors):
    def case(*args, **more):
        depthwise(vectors, 200 + len(vectors.records), *args, **more)

    case("u8_3x3", "uint8", (1, 7, 6, 5), 1, (3, 3), activation=RELU6)
    case("u8_3x3_stride_2", "uint8", (1, 8, 8, 17), 1, (3, 3), stride=(2, 2))
    case("u8_5x5", "uint8", (1, 9, 7, 3), 1, (5, 5), padding=VALID, activation=RELU)
    case("u8_multiplier_8", "uint8", (1, 9, 9, 1), 8, (3, 3), stride=(2, 2))
    case("s8_3x3", "int8", (1, 6, 7, 19), 1, (3, 3))
    case("s8_3x3_stride_2_relu6", "int8", (1, 9, 11, 8), 1, (3, 3), stride=(2, 2),
         activation=RELU6)
    case("s8_5x5", "int8", (1, 8, 9, 6), 1, (5, 5), activation=RELU)
    case("s8_multiplier_2", "int8", (1, 6, 6, 5), 2, (3, 3))
    case("s8_multiplier_8", "int8", (1, 7, 8, 2), 8, (5, 3), stride=(2, 1), padding=VALID)
    case("s8_dilated_2", "int8", (1, 9, 9, 6), 1, (3, 3), dilation=(2, 2))
    case("u8_dilated_2_valid", "uint8", (1, 9, 9, 6), 1, (3, 3), dilation=(2, 2), padding=VALID)


def connected(vectors, seed, name, dtype, shape, units, *, bias=True, channelwise=False,
              keep=False, activation=NONE):
    random = np.random.default_rng(seed)
    graph = Graph()
    zero = int(random.integers(*RANGE[dtype]))
    depth = shape[-1]
    x = graph.input(shape, dtype, scale=INPUT_SCALE, zero=zero)
    weights = Weights(random, dtype, (units, depth), units if channelwise else 1, depth, units,
                      zero, activation)
    w = graph.constant(weights.stored, dtype, scale=weights.scale, zero=weights.zero)
    b = graph.constant(weights.bias, "int32", scale=weights.bias_scale) if bias else -1
    rows = [math.prod(shape[:-1])]
    y = graph.output(
        [*(shape[:-1] if keep else rows), units], dtype,
        scale=weights.output_scale, zero=output_zero(dtype, activation),
    )
    graph.operator(
        "FULLY_CONNECTED", [x, w, b], [y], fusedActivationFunction=activation, keepNumDims=keep,
    )
    vectors.case(name, graph, [values(random, dtype, shape)])


@operator("fully_connected")
def fully_connected(vectors):
    def case(*args, **more):
        connected(vectors, 300 + len(vectors.records), *args, **more)

    case("u8", "uint8", (1, 33), 10)
    case("u8_no_bias_batch_3", "uint8", (3, 16), 5, bias=False, activation=RELU)
    case("s8", "int8", (1, 50), 11)
    case("s8_batch_4_relu", "int8", (4, 20), 9, activation=RELU)
    case("s8_channelwise", "int8", (2, 31), 13, channelwise=True)
    case("s8_channelwise_no_bias", "int8", (1, 24), 17, channelwise=True, bias=False)
    case("s8_one_unit", "int8", (1, 40), 1)
    case("s8_relu6", "int8", (5, 21), 6, activation=RELU6, channelwise=True)
    case("s8_flattened", "int8", (1, 2, 3, 6), 7)
    case("s8_kept_dims", "int8", (1, 2, 3, 6), 7, keep=True)


def pool(vectors, seed, name, kind, dtype, shape, kernel, *, stride=(1, 1), padding=VALID,
         activation=NONE):
    random = np.random.default_rng(seed)
    graph = Graph()
    zero = int(random.integers(*RANGE[dtype]) // 3 + (0 if dtype == "int8" else 85))
    scale = 0.03
    if activation == RELU6:
        scale, zero = SIX_SCALE, sum(RANGE[dtype]) // 2 - 51
    x = graph.input(shape, dtype, scale=scale, zero=zero)
    y = graph.output(
        output_shape(shape, shape[3], kernel, stride, (1, 1), padding), dtype,
        scale=scale, zero=zero,
    )
    graph.operator(
        kind, [x], [y], padding=padding, fusedActivationFunction=activation,
        filterHeight=kernel[0], filterWidth=kernel[1], strideH=stride[0], strideW=stride[1],
    )
    vectors.case(name, graph, [values(random, dtype, shape)])


def pools(vectors, seed, kind):
    def case(*args, **more):
        pool(vectors, seed + len(vectors.records), args[0], kind, *args[1:], **more)

    case("u8_2x2_stride_2", "uint8", (1, 6, 8, 5), (2, 2), stride=(2, 2))
    case("u8_3x3_same", "uint8", (1, 7, 6, 19), (3, 3), stride=(2, 2), padding=SAME)
    case("u8_global", "uint8", (1, 7, 7, 20), (7, 7))
    case("u8_relu6", "uint8", (1, 6, 6, 4), (3, 3), padding=SAME, activation=RELU6)
    case("s8_2x2_stride_2", "int8", (1, 6, 8, 5), (2, 2), stride=(2, 2))
    case("s8_3x3_same", "int8", (1, 7, 6, 21), (3, 3), stride=(2, 2), padding=SAME)
    case("s8_5x3_same", "int8", (1, 6, 5, 3), (5, 3), padding=SAME)
    case("s8_global", "int8", (1, 5, 7, 33), (5, 7))
    case("s8_relu", "int8", (1, 6, 6, 4), (3, 3), padding=SAME, activation=RELU)
    case("s8_1x1", "int8", (1, 4, 3, 5), (1, 1), activation=RELU6)
    case("s8_strides_over_filter", "int8", (1, 9, 9, 3), (2, 2), stride=(3, 4))


@operator("average_pool_2d")
def average_pool_2d(vectors):
    pools(vectors, 400, "AVERAGE_POOL_2D")


@operator("max_pool_2d")
def max_pool_2d(vectors):
    pools(vectors, 500, "MAX_POOL_2D")


@operator("mean")
def mean(vectors):
    def case(name, dtype, shape, axes, keep, factor):
        random = np.random.default_rng(600 + len(vectors.records))
        graph = Graph()
        zeros = [int(it) for it in random.integers(-30, 31, 2) + (0 if dtype == "int8" else 128)]
        x = graph.input(shape, dtype, scale=0.03, zero=zeros[0])
        among = graph.constant(np.array(axes), "int32")
        over = {axis % len(shape) for axis in axes}
        left = [1 if at in over else side for at, side in enumerate(shape)
                if keep or at not in over]
        # A mean of many bytes lies close to the middle: the output's scale opens it up.
        terms = math.prod(shape[axis] for axis in over)
        y = graph.output(left, dtype, scale=0.03 * factor / math.sqrt(terms), zero=zeros[1])
        graph.operator("MEAN", [x, among], [y], keepDims=keep)
        vectors.case(name, graph, [values(random, dtype, shape)])

    case("u8_1_2_kept", "uint8", (1, 7, 7, 20), [1, 2], True, 1.3)
    case("u8_1_2", "uint8", (1, 4, 5, 33), [1, 2], False, 1.7)
    case("u8_last", "uint8", (1, 4, 5, 16), [3], True, 1.2)
    case("s8_1_2_kept", "int8", (1, 7, 7, 20), [1, 2], True, 1.3)
    case("s8_1_2", "int8", (2, 3, 5, 17), [2, 1], False, 1.7)
    case("s8_last", "int8", (1, 4, 5, 13), [-1], False, 1.2)
    case("s8_first", "int8", (3, 40), [0], False, 1.2)
    case("s8_1_3_kept", "int8", (2, 6, 3, 5), [1, 3], True, 1.1)
    case("s8_all", "int8", (1, 4, 4, 6), [0, 1, 2, 3], True, 2.0)


def resize(vectors, seed, name, kind, dtype, shape, size, corners=False, half=False):
    random = np.random.default_rng(seed)
    graph = Graph()
    x = graph.input(shape, dtype, scale=0.03, zero=7)
    to = graph.constant(np.array(size), "int32")
    y = graph.output([shape[0], *size, shape[3]], dtype, scale=0.03, zero=7)
    graph.operator(kind, [x, to], [y], alignCorners=corners, halfPixelCenters=half)
    vectors.case(name, graph, [values(random, dtype, shape)])


def resizes(vectors, seed, kind):
    def case(name, *args, **more):
        resize(vectors, seed + len(vectors.records), name, kind, *args, **more)

    case("u8_up_2", "uint8", (1, 4, 5, 5), (8, 10))
    case("u8_up_uneven", "uint8", (1, 3, 4, 3), (7, 11), half=True)
    case("u8_down", "uint8", (1, 9, 11, 3), (4, 5), corners=True)
    case("s8_up_2", "int8", (1, 4, 3, 19), (8, 6))
    case("s8_up_2_half", "int8", (1, 4, 3, 4), (8, 6), half=True)
    case("s8_up_corners", "int8", (1, 4, 5, 3), (9, 7), corners=True)
    case("s8_down_half", "int8", (1, 10, 9, 3), (3, 4), half=True)
    case("s8_down", "int8", (1, 10, 7, 5), (7, 3))
    case("s8_same_size", "int8", (1, 5, 6, 3), (5, 6), half=True)
    case("s8_to_one", "int8", (1, 6, 5, 4), (1, 1), corners=True)
    case("s8_from_one", "int8", (1, 1, 1, 6), (3, 4))


@operator("resize_nearest_neighbor")
def resize_nearest_neighbor(vectors):
    pools_of = "RESIZE_NEAREST_NEIGHBOR"
    resizes(vectors, 700, pools_of)


@operator("resize_bilinear")
def resize_bilinear(vectors):
    resizes(vectors, 800, "RESIZE_BILINEAR")
