"""Cases of the operators that move values and change none."""

import numpy as np

from golden import Graph, operator
from spatial import RANGE

QUANT = {"scale": 0.03, "zero": 11}


def values(random, dtype, shape):
    if dtype == "float32":
        return random.normal(size=shape)
    if dtype == "int32":
        return random.integers(-(2**31), 2**31, shape)
    return random.integers(*RANGE[dtype], shape)


def quantization(dtype):
    return QUANT if dtype in RANGE else {}


class Case:
    """One graph with one operator: `start` its data inputs, `end` with its outputs."""

    def __init__(self, vectors, seed):
        self.vectors = vectors
        self.random = np.random.default_rng(seed + len(vectors.records))
        self.graph = Graph()
        self.values = []

    def start(self, dtype, shape):
        self.values.append(values(self.random, dtype, shape))
        return self.graph.input(shape, dtype, **quantization(dtype))

    def numbers(self, numbers):
        return self.graph.constant(np.array(numbers), "int32")

    def end(self, name, operator_name, inputs, dtype, shapes, **options):
        outputs = [self.graph.output(it, dtype, **quantization(dtype)) for it in shapes]
        self.graph.operator(operator_name, inputs, outputs, **options)
        self.vectors.case(name, self.graph, self.values)


@operator("pad")
def pad(vectors):
    def case(name, dtype, shape, around):
        it = Case(vectors, 1000)
        x = it.start(dtype, shape)
        around = np.array(around)
        to = np.array(shape) + around.sum(axis=1)
        it.end(name, "PAD", [x, it.numbers(around)], dtype, [to])

    case("u8_spatial", "uint8", (1, 4, 5, 3), [(0, 0), (0, 1), (0, 1), (0, 0)])
    case("u8_channels", "uint8", (1, 3, 3, 5), [(0, 0), (0, 0), (0, 0), (0, 3)])
    case("s8_spatial", "int8", (1, 3, 4, 7), [(0, 0), (1, 2), (2, 1), (0, 0)])
    case("s8_channels", "int8", (1, 4, 4, 6), [(0, 0), (0, 0), (0, 0), (2, 5)])
    case("s8_everywhere", "int8", (2, 2, 3, 2), [(1, 0), (0, 1), (1, 1), (1, 2)])
    case("s8_rank_2", "int8", (3, 4), [(1, 0), (2, 3)])
    case("f32_spatial", "float32", (1, 3, 2, 2), [(0, 0), (1, 1), (1, 0), (0, 0)])


@operator("reshape")
def reshape(vectors):
    def case(name, dtype, shape, asked, to):
        it = Case(vectors, 1100)
        x = it.start(dtype, shape)
        it.end(name, "RESHAPE", [x, it.numbers(asked)], dtype, [to], newShape=asked)

    case("s8_flatten", "int8", (1, 3, 4, 5), [1, 60], [1, 60])
    case("s8_wildcard", "int8", (1, 6, 6, 4), [1, -1, 2], [1, 72, 2])
    case("u8", "uint8", (1, 1, 1, 30), [5, 6], [5, 6])
    case("i32", "int32", (2, 3), [3, 2, 1], [3, 2, 1])


@operator("squeeze")
def squeeze(vectors):
    def case(name, dtype, shape, dims, to):
        it = Case(vectors, 1200)
        it.end(name, "SQUEEZE", [it.start(dtype, shape)], dtype, [to], squeezeDims=dims)

    case("s8_1_2", "int8", (1, 1, 1, 20), [1, 2], [1, 20])
    case("u8_all", "uint8", (1, 5, 1, 6), [], [5, 6])
    case("s8_negative", "int8", (1, 5, 6, 1), [-1], [1, 5, 6])


@operator("strided_slice")
def strided_slice(vectors):
    def case(name, dtype, shape, first, last, strides, to, **masks):
        it = Case(vectors, 1300)
        inputs = [it.start(dtype, shape), *map(it.numbers, (first, last, strides))]
        masks = {f"{mask}Mask": bits for mask, bits in masks.items()}
        it.end(name, "STRIDED_SLICE", inputs, dtype, [to], **masks)

    case("s8_box", "int8", (1, 6, 7, 4), [0, 1, 2, 1], [1, 5, 6, 3], [1] * 4, [1, 4, 4, 2])
    case("u8_masks", "uint8", (1, 6, 7, 4), [0, 2, 3, 1], [0, 5, 0, 0], [1] * 4, [1, 3, 4, 4],
         begin=0b1001, end=0b1101)
    case("s8_from_end", "int8", (2, 5, 6), [0, -4, -3], [2, -1, 6], [1] * 3, [2, 3, 3])
    case("s8_steps", "int8", (1, 7, 8, 3), [0, 0, 1, 0], [1, 7, 8, 3], [1, 2, 3, 1],
         [1, 4, 3, 3])
    case("s8_backwards", "int8", (1, 6, 5, 4), [0, 5, 4, 0], [0, 0, -6, 0], [1, -2, -1, 1],
         [1, 3, 5, 4], begin=0b1001, end=0b1001)
    case("s8_channel_reversed", "int8", (1, 3, 3, 5), [0] * 4, [0] * 4, [1, 1, 1, -1],
         [1, 3, 3, 5], begin=0b1111, end=0b1111)
    case("u8_shrink", "uint8", (1, 6, 7, 4), [0, 2, 0, -1], [1, 3, 7, 0], [1] * 4, [7],
         shrinkAxis=0b1011)
    case("s8_fewer_than_rank", "int8", (3, 4, 5), [1], [3], [1], [2, 4, 5])
    case("s8_beyond", "int8", (1, 4, 5, 2), [0, 1, -9, 0], [1, 9, 3, 2], [1, 2, 1, 1],
         [1, 2, 3, 2])
    case("i32_shrink", "int32", (4,), [2], [3], [1], [], shrinkAxis=1)
    case("f32_steps", "float32", (2, 6), [0, 5], [2, -7], [1, -2], [2, 3])


@operator("split")
def split(vectors):
    def case(name, dtype, shape, axis, parts):
        it = Case(vectors, 1400)
        at = it.numbers(axis)
        x = it.start(dtype, shape)
        to = list(shape)
        to[axis] //= parts
        it.end(name, "SPLIT", [at, x], dtype, [to] * parts, numSplits=parts)

    case("s8_channels", "int8", (1, 4, 5, 6), 3, 2)
    case("s8_channels_3", "int8", (1, 3, 3, 9), -1, 3)
    case("u8_rows", "uint8", (1, 6, 4, 3), 1, 3)
    case("s8_columns_5", "int8", (1, 2, 10, 3), 2, 5)
    case("i32_first", "int32", (4, 3), 0, 4)


@operator("transpose")
def transpose(vectors):
    def case(name, dtype, shape, order):
        it = Case(vectors, 1500)
        inputs = [it.start(dtype, shape), it.numbers(order)]
        it.end(name, "TRANSPOSE", inputs, dtype, [[shape[axis] for axis in order]])

    case("s8_2d", "int8", (5, 7), [1, 0])
    case("s8_3d", "int8", (3, 4, 5), [2, 0, 1])
    case("u8_3d_swap", "uint8", (4, 5, 3), [1, 0, 2])
    case("s8_nchw", "int8", (1, 4, 5, 6), [0, 3, 1, 2])
    case("u8_nhwc", "uint8", (2, 3, 4, 5), [0, 2, 3, 1])
    case("s8_reversed", "int8", (2, 3, 4, 5), [3, 2, 1, 0])
    case("s8_unmoved", "int8", (1, 2, 3, 4), [0, 1, 2, 3])
    case("f32_4d", "float32", (1, 2, 3, 4), [0, 3, 2, 1])
    case("i32_4d", "int32", (2, 1, 3, 2), [3, 0, 2, 1])


@operator("arg_max")
def arg_max(vectors):
    from ai_edge_litert.schema_py_generated import TensorType

    def case(name, dtype, shape, axis, few=None):
        it = Case(vectors, 1600)
        x = it.start(dtype, shape)
        if few is not None:
            # Values from a few, so that most rows have ties: the first wins.
            it.values = [it.random.choice(few, shape)]
        to = [side for at, side in enumerate(shape) if at != axis % len(shape)]
        it.end(name, "ARG_MAX", [x, it.numbers(axis)], "int32", [to],
               outputType=TensorType.INT32)

    case("s8_last", "int8", (2, 3, 40), -1)
    case("s8_last_ties", "int8", (1, 4, 5, 19), 3, few=[-128, -3, 5])
    case("s8_middle", "int8", (1, 50, 4), 1)
    case("s8_middle_ties", "int8", (1, 30, 7), 1, few=[-2, 9])
    case("u8_last", "uint8", (6, 33), 1)
    case("u8_first", "uint8", (9, 8), 0)


@operator("pack")
def pack(vectors):
    def case(name, dtype, shape, axis, count):
        it = Case(vectors, 1700)
        inputs = [it.start(dtype, shape) for _ in range(count)]
        to = list(shape)
        to.insert(axis if axis >= 0 else axis + len(shape) + 1, count)
        it.end(name, "PACK", inputs, dtype, [to], axis=axis, valuesCount=count)

    case("s8_first", "int8", (3, 4), 0, 3)
    case("s8_last", "int8", (2, 3, 5), -1, 2)
    case("u8_middle", "uint8", (2, 3, 4), 1, 4)
    case("i32_last", "int32", (5,), 1, 3)


@operator("unpack")
def unpack(vectors):
    def case(name, dtype, shape, axis):
        it = Case(vectors, 1800)
        x = it.start(dtype, shape)
        to = list(shape)
        count = to.pop(axis)
        it.end(name, "UNPACK", [x], dtype, [to] * count, axis=axis, num=count)

    case("s8_last", "int8", (17, 2), -1)
    case("s8_first", "int8", (3, 4, 5), 0)
    case("u8_middle", "uint8", (2, 4, 3), 1)
    case("i32_first", "int32", (4, 2), 0)


@operator("gather_nd")
def gather_nd(vectors):
    def case(name, dtype, shape, rows, depth):
        it = Case(vectors, 1900)
        x = it.start(dtype, shape)
        places = np.stack([it.random.integers(0, side, rows) for side in shape[:depth]], axis=-1)
        places = places.reshape(*np.atleast_1d(rows), depth)
        at = it.graph.input(places.shape, "int32")
        it.values.append(places)
        it.end(name, "GATHER_ND", [x, at], dtype, [[*places.shape[:-1], *shape[depth:]]])

    case("s8_pixels", "int8", (1, 6, 7, 5), 9, 3)
    case("s8_values", "int8", (1, 6, 7, 5), 12, 4)
    case("s8_rows", "int8", (4, 3, 6), (2, 3), 1)
    case("u8_pixels", "uint8", (5, 4, 3), 6, 2)
    case("i32_values", "int32", (5, 4), 7, 2)
