"""Cases of the operators that look at one place at a time."""

import numpy as np

from golden import NONE, RELU, RELU6, RELU_N1_TO_1, Graph, operator

RANGE = {"int8": (-128, 127), "uint8": (0, 255)}


class Q:
    """A quantized type: its scale and zero point."""

    def __init__(self, dtype, scale, zero):
        self.dtype, self.scale, self.zero = dtype, scale, zero

    @property
    def all(self):
        low, high = RANGE[self.dtype]
        return np.arange(low, high + 1)

    def some(self, random, shape):
        """Random values, the ends always among them where there is room."""
        low, high = RANGE[self.dtype]
        values = random.integers(low, high + 1, shape)
        if values.size >= 2:
            values.flat[0], values.flat[-1] = low, high
        return values

    @property
    def arguments(self):
        return {"dtype": self.dtype, "scale": self.scale, "zero": self.zero}


def pair(vectors, name, case, a, b, out, values, activation=NONE, constant=()):
    """A binary operator; `values` are both operands', `constant` numbers those in the file."""
    graph = Graph()
    values = [np.asarray(it) for it in values]
    operands = [
        graph.constant(value, **q.arguments)
        if at in constant
        else graph.input(value.shape, **q.arguments)
        for at, (q, value) in enumerate(zip((a, b), values))
    ]
    shape = np.broadcast_shapes(*(it.shape for it in values))
    y = graph.output(shape, **out.arguments)
    graph.operator(name, operands, [y], fusedActivationFunction=activation)
    vectors.case(case, graph, [it for at, it in enumerate(values) if at not in constant])


def int32_pairs(vectors, name, random, limit, **options):
    """int32 operands: whole, broadcast, and with a scalar in the file."""
    for case, shape_a, shape_b, constant in (
        ("int32", (3, 7), (3, 7), False),
        ("int32_broadcast", (4, 1, 3), (2, 1), False),
        ("int32_scalar_constant", (1, 17), (), True),
    ):
        a, b = (random.integers(-limit, limit, it) for it in (shape_a, shape_b))
        b = np.where(b == 0, 5, b)
        graph = Graph()
        operands = [graph.input(shape_a, "int32")]
        operands += [graph.constant(b, "int32") if constant else graph.input(shape_b, "int32")]
        y = graph.output(np.broadcast_shapes(shape_a, shape_b), "int32")
        graph.operator(name, operands, [y], **options)
        vectors.case(case, graph, [a] if constant else [a, b])


def float32_pair(vectors, name, random):
    """What stands between a DEQUANTIZE and a QUANTIZE."""
    a, b = reals(random, (2, 3, 5), 0.01, 100), reals(random, (3, 1), 0.01, 100)
    graph = Graph()
    operands = [graph.input(it.shape, "float32") for it in (a, b)]
    y = graph.output((2, 3, 5), "float32")
    graph.operator(name, operands, [y], fusedActivationFunction=RELU)
    vectors.case("float32", graph, [a, b])


def grid(a, b):
    """Every 17th value of one operand with every 17th of the other."""
    return [a.all[::17].reshape(-1, 1), b.all[::17].reshape(1, -1)]


def sums(vectors, name, seed):
    """ADD's and SUB's cases."""
    random = np.random.default_rng(seed)
    a, b, y = Q("int8", 0.0213, -128), Q("int8", 0.0571, 127), Q("int8", 0.0634, 7)
    shape = (1, 3, 5, 7)
    both = [a.some(random, shape), b.some(random, shape)]
    pair(vectors, name, "int8", a, b, y, both)
    pair(vectors, name, "int8_relu", a, b, y, both, RELU)
    pair(vectors, name, "int8_relu6", a, b, y, both, RELU6)
    pair(vectors, name, "int8_relu_n1_to_1", a, b, y, both, RELU_N1_TO_1)
    # Halves everywhere: sums of 0.5 steps on a scale of 1.
    half, one = Q("int8", 0.5, 3), Q("int8", 1.0, -10)
    pair(vectors, name, "int8_ties", half, half, one, grid(half, half))
    # 6 / 4 = 1.5 is a tie of the activation's bound, for an odd and for an even zero point.
    for zero in (-3, 4):
        four = Q("int8", 4.0, zero)
        case = f"int8_relu6_bound_tie_{zero % 2}"
        pair(vectors, name, case, half, half, four, grid(half, half), RELU6)
    values = [a.some(random, (2, 3, 4, 3)), b.some(random, ())]
    pair(vectors, name, "int8_scalar_constant", a, b, y, values, constant=(1,))
    values = [a.some(random, (3,)), b.some(random, (2, 3, 4, 3))]
    pair(vectors, name, "int8_channels_constant_first", a, b, y, values, constant=(0,))
    values = [a.some(random, (6, 3, 1)), b.some(random, (1, 5))]
    pair(vectors, name, "int8_broadcast_both", a, b, y, values, RELU)
    values = [a.some(random, (2, 1, 3, 1, 2)), b.some(random, (5, 1, 4, 1))]
    pair(vectors, name, "int8_broadcast_rank_5", a, b, y, values)
    a, b, y = Q("uint8", 0.0137, 255), Q("uint8", 0.25, 0), Q("uint8", 0.249, 131)
    both = [a.some(random, shape), b.some(random, shape)]
    pair(vectors, name, "uint8", a, b, y, both)
    pair(vectors, name, "uint8_relu6", a, b, y, both, RELU6)
    values = [a.some(random, (3, 4, 5)), b.some(random, (3, 1, 5))]
    pair(vectors, name, "uint8_broadcast", a, b, y, values)
    # Below XNNPACK's least ratio of scales, 2^-10.
    a, b, y = Q("int8", 0.00007, -128), Q("int8", 0.1, 5), Q("int8", 0.1003, -4)
    both = [a.some(random, (4, 13)), b.some(random, (4, 13))]
    pair(vectors, name, "int8_small_ratio", a, b, y, both, RELU6)
    int32_pairs(vectors, name, random, 2**29, fusedActivationFunction=NONE)
    float32_pair(vectors, name, random)


@operator("add")
def add(vectors):
    sums(vectors, "ADD", 1)
    # One tensor for both operands.
    q, y = Q("int8", 0.031, -7), Q("int8", 0.0621, 11)
    graph = Graph()
    a = graph.input((256,), **q.arguments)
    graph.operator("ADD", [a, a], [graph.output((256,), **y.arguments)])
    vectors.case("int8_with_itself", graph, [q.all])


@operator("sub")
def sub(vectors):
    sums(vectors, "SUB", 2)


@operator("mul")
def mul(vectors):
    random = np.random.default_rng(3)
    a, b, y = Q("int8", 0.0213, -128), Q("int8", 0.0571, 127), Q("int8", 0.0634, 7)
    shape = (1, 3, 5, 7)
    both = [a.some(random, shape), b.some(random, shape)]
    pair(vectors, "MUL", "int8", a, b, y, both)
    for case, activation in ("relu", RELU), ("relu6", RELU6), ("relu_n1_to_1", RELU_N1_TO_1):
        pair(vectors, "MUL", f"int8_{case}", a, b, y, both, activation)
    # Halves: rounded to even before the zero point is added, so both parities of it.
    half = Q("int8", 0.5, 3)
    for zero in (-3, 4):
        four = Q("int8", 4.0, zero)
        case = f"int8_ties_{zero % 2}"
        pair(vectors, "MUL", case, half, half, four, grid(half, half))
        pair(vectors, "MUL", f"{case}_relu6", half, half, four, grid(half, half), RELU6)
    values = [a.some(random, (2, 3, 4, 3)), b.some(random, ())]
    pair(vectors, "MUL", "int8_scalar_constant", a, b, y, values, constant=(1,))
    values = [a.some(random, (3,)), b.some(random, (2, 3, 4, 3))]
    pair(vectors, "MUL", "int8_channels_constant_first", a, b, y, values, constant=(0,))
    values = [a.some(random, (6, 3, 1)), b.some(random, (1, 5))]
    pair(vectors, "MUL", "int8_broadcast_both", a, b, y, values, RELU)
    values = [a.some(random, (1, 4, 4, 6)), b.some(random, (1, 1, 1, 6))]
    pair(vectors, "MUL", "int8_gate", a, b, y, values)
    a, b, y = Q("uint8", 0.0137, 255), Q("uint8", 0.25, 0), Q("uint8", 0.049, 131)
    both = [a.some(random, shape), b.some(random, shape)]
    pair(vectors, "MUL", "uint8", a, b, y, both)
    pair(vectors, "MUL", "uint8_relu6", a, b, y, both, RELU6)
    values = [a.some(random, (3, 4, 5)), b.some(random, (3, 1, 5))]
    pair(vectors, "MUL", "uint8_broadcast", a, b, y, values)
    # Below XNNPACK's least ratio of scales, 2^-16.
    a, b, y = Q("int8", 0.001, -128), Q("int8", 0.003, 127), Q("int8", 0.4, -4)
    pair(vectors, "MUL", "int8_small_ratio", a, b, y, [a.all[:60], b.all[-60:]])
    int32_pairs(vectors, "MUL", random, 2**15, fusedActivationFunction=NONE)
    float32_pair(vectors, "MUL", random)


def reals(random, shape, least, most):
    """Numbers of both signs, their logarithms evenly spread."""
    size = np.exp(random.uniform(np.log(least), np.log(most), shape))
    return (size * random.choice([-1, 1], shape)).astype(np.float32)


@operator("div")
def div(vectors):
    random = np.random.default_rng(4)
    for case, shape_a, shape_b, activation in (
        ("float32", (3, 37), (3, 37), NONE),
        ("float32_relu", (3, 37), (3, 37), RELU),
        ("float32_relu6", (3, 37), (3, 37), RELU6),
        ("float32_broadcast", (1, 4, 5, 7), (4, 5, 1), NONE),
        ("float32_scalar", (5, 9), (), NONE),
    ):
        a, b = reals(random, shape_a, 1e-9, 1e9), reals(random, shape_b, 1e-3, 1e9)
        graph = Graph()
        operands = [graph.input(it.shape, "float32") for it in (a, b)]
        y = graph.output(np.broadcast_shapes(shape_a, shape_b), "float32")
        graph.operator("DIV", operands, [y], fusedActivationFunction=activation)
        vectors.case(case, graph, [a, b])
    graph = Graph()
    operands = [graph.input((4,), "float32") for _ in range(2)]
    graph.operator("DIV", operands, [graph.output((4,), "float32")])
    vectors.case("float32_by_zero", graph, [[1.0, -1.0, 3.5, 0.0], [0.0, 0.0, -0.0, 7.0]])


@operator("floor_div")
def floor_div(vectors):
    random = np.random.default_rng(5)
    int32_pairs(vectors, "FLOOR_DIV", random, 2**31 - 1)
    # Every sign of a division that leaves a remainder, or none.
    a, b = np.arange(-30, 31).reshape(-1, 1), np.array([[-48, -7, -1, 1, 2, 3, 10]])
    graph = Graph()
    operands = [graph.input(it.shape, "int32") for it in (a, b)]
    graph.operator("FLOOR_DIV", operands, [graph.output((61, 7), "int32")])
    vectors.case("int32_signs", graph, [a, b])


def joined(vectors, case, axis, types, out, values, constant=()):
    """CONCATENATION of `values`, the constant ones in the file."""
    graph = Graph()
    operands = [
        graph.constant(value, **q.arguments)
        if at in constant
        else graph.input(value.shape, **q.arguments)
        for at, (q, value) in enumerate(zip(types, values))
    ]
    y = graph.output(np.concatenate(values, axis).shape, **out.arguments)
    graph.operator("CONCATENATION", operands, [y], axis=axis)
    vectors.case(case, graph, [it for at, it in enumerate(values) if at not in constant])


@operator("concatenation")
def concatenation(vectors):
    random = np.random.default_rng(6)
    # The six of a detector's box heads and class heads; one shares the output's scale.
    for case, out, scales in (
        ("uint8_six", (0.079027, 191), (0.0421, 0.0633, 0.079027, 0.11, 0.012, 0.3)),
        ("uint8_six_classes", (0.049737, 223), (0.0497, 0.1, 0.9, 0.01, 0.0497371, 0.03)),
    ):
        y = Q("uint8", *out)
        zeros = (0, 255, out[1], 128, 17, 201)
        types = [Q("uint8", scale, zero) for scale, zero in zip(scales, zeros)]
        values = [q.some(random, (1, 4 + 3 * at, 4)) for at, q in enumerate(types)]
        joined(vectors, case, 1, types, y, values)
    # Every byte, on ties: halves and quarters of the output's step.
    types = [Q("uint8", 0.5, 3), Q("uint8", 0.25, 250)]
    y = Q("uint8", 1.0, 100)
    joined(vectors, "uint8_ties", 0, types, y, [q.all for q in types])
    joined(vectors, "uint8_first_axis", -3, types, y, [q.some(random, (2, 3, 2)) for q in types])
    same = [y, y]
    joined(vectors, "uint8_same", -1, same, y, [q.some(random, (2, 3, 5)) for q in same])
    q = Q("int8", 0.037, -5)
    for case, axis, shapes in (
        ("int8_last", 3, ((1, 2, 3, 2), (1, 2, 3, 5))),
        ("int8_minus_1", -1, ((1, 2, 3, 2), (1, 2, 3, 5))),
        ("int8_minus_2", -2, ((2, 1, 3), (2, 4, 3), (2, 2, 3))),
        ("int8_first", 0, ((1, 4), (3, 4), (2, 4), (1, 4), (1, 4), (2, 4))),
    ):
        values = [q.some(random, shape) for shape in shapes]
        joined(vectors, case, axis, [q] * len(shapes), q, values)
    q = Q("int32", None, 0)
    values = [random.integers(-(2**31), 2**31, shape) for shape in ((5, 3), (5, 1))]
    joined(vectors, "int32_with_constant", -1, [q, q], q, values, constant=(1,))
    q = Q("float32", None, 0)
    values = [reals(random, shape, 1e-3, 1e3) for shape in ((2, 3), (2, 2))]
    joined(vectors, "float32", 1, [q, q], q, values)


def unary(vectors, name, case, a, y, values, version=1, built_in_only=False, **options):
    values = np.asarray(values)
    graph = Graph()
    operand = graph.input(values.shape, **a.arguments)
    out = graph.output(values.shape, **y.arguments)
    graph.operator(name, [operand], [out], version, **options)
    vectors.case(case, graph, [values], built_in_only)


F32, I32 = Q("float32", None, 0), Q("int32", None, 0)


@operator("quantize")
def quantize(vectors):
    random = np.random.default_rng(7)
    for dtype, zero in ("int8", -128), ("int8", 6), ("int8", 127), ("uint8", 0), ("uint8", 131):
        odd, whole = Q(dtype, 0.0137, zero), Q(dtype, 0.5, zero)
        values = reals(random, (2, 40), 0.005, 6)
        unary(vectors, "QUANTIZE", f"float32_{dtype}_{zero}", F32, odd, values)
        ties = np.concatenate([np.arange(-131, 132, 2) * 0.25, [1e30, -1e30, np.inf, -np.inf]])
        unary(vectors, "QUANTIZE", f"float32_{dtype}_{zero}_ties", F32, whole, ties)
    low, high = Q("int8", 0.0137, -128), Q("int8", 0.0137, 127)
    u_low, u_high = Q("uint8", 0.0137, 0), Q("uint8", 0.0137, 255)
    for case, a, y in (
        ("int8_int8_down", Q("int8", 0.0071, 12), Q("int8", 0.0234, -31)),
        ("int8_int8_up", Q("int8", 0.0571, 12), Q("int8", 0.0234, -31)),
        ("int8_int8_ties", Q("int8", 0.5, 3), Q("int8", 1.0, -10)),
        ("int8_int8_ends", low, high),
        ("uint8_uint8", Q("uint8", 0.0071, 250), Q("uint8", 0.0112, 7)),
        ("uint8_uint8_ties", Q("uint8", 0.25, 128), Q("uint8", 1.0, 101)),
        ("int8_uint8_same", Q("int8", 0.0137, 5), Q("uint8", 0.0137, 133)),
        ("uint8_int8_same", Q("uint8", 0.0137, 133), Q("int8", 0.0137, 5)),
        ("int8_uint8_ends", low, u_high),
        ("uint8_int8_ends", u_low, high),
        ("uint8_int8", Q("uint8", 0.1, 133), Q("int8", 0.0137, 5)),
        # Fixed point, in blocks of 16 rounded half up, the last 15 half away from zero.
        ("int8_uint8_ties", Q("int8", 0.125, 17), Q("uint8", 1.0, 59)),
        ("uint8_int8_ties", Q("uint8", 0.0078125, 177), Q("int8", 0.125, 3)),
        ("int8_int8_small_ratio", Q("int8", 2.0**-9, -128), Q("int8", 1.0, 3)),
        ("uint8_uint8_large_ratio", Q("uint8", 30.0, 120), Q("uint8", 0.1, 90)),
    ):
        values = np.concatenate([a.all, a.all[-100:-85]])
        unary(vectors, "QUANTIZE", case, a, y, values)
    # All of it in the last block.
    a = Q("int8", 0.125, 17)
    unary(vectors, "QUANTIZE", "int8_uint8_few", a, Q("uint8", 1.0, 59), a.all[69:84])


@operator("dequantize")
def dequantize(vectors):
    for dtype, scale, zero in (
        ("int8", 0.0137, -128),
        ("int8", 1.7e-5, 127),
        ("int8", 0.3331, 3),
        ("uint8", 0.0137, 0),
        ("uint8", 211.7, 255),
        ("uint8", 0.0497, 131),
    ):
        q = Q(dtype, scale, zero)
        unary(vectors, "DEQUANTIZE", f"{dtype}_{zero}", q, F32, q.all)


@operator("cast")
def cast(vectors):
    random = np.random.default_rng(8)
    for dtype in RANGE:
        q = Q(dtype, None, 0)
        unary(vectors, "CAST", f"{dtype}_float32", q, F32, q.all)
    scaled = Q("int8", 0.0137, 5)
    unary(vectors, "CAST", "int8_float32_whatever_its_scale", scaled, F32, scaled.all[:30])
    ends = [-(2**31), 2**31 - 1, 2**24 + 1, 2**25 + 2, 2**25 + 6, -(2**24) - 1, 0]
    whole = np.concatenate([ends, random.integers(-(2**31), 2**31, 60)])
    unary(vectors, "CAST", "int32_float32", I32, F32, whole)
    ends = [0.9, -0.9, -0.0, 1.5, 2.5, 3e9, -3e9, np.inf, -np.inf, np.nan, 2147483520.0, -(2.0**31)]
    real = np.concatenate([np.float32(ends), reals(random, 60, 0.01, 2e9)])
    unary(vectors, "CAST", "float32_int32", F32, I32, real)


@operator("logistic")
def logistic(vectors):
    for dtype, scale, zero in (
        ("int8", 0.0497, -7),
        ("int8", 0.13, 127),
        ("int8", 0.005, -128),
        ("int8", 1.3, 0),
        ("uint8", 0.04973677, 223),
        ("uint8", 0.1, 0),
        ("uint8", 0.021, 255),
    ):
        q = Q(dtype, scale, zero)
        y = Q(dtype, 1 / 256, RANGE[dtype][0])
        unary(vectors, "LOGISTIC", f"{dtype}_{zero}", q, y, q.all)
    q = Q("int8", 0.06, 10)
    unary(vectors, "LOGISTIC", "int8_other_scale", q, Q("int8", 0.0051, -100), q.all)


@operator("softmax")
def softmax(vectors):
    random = np.random.default_rng(9)
    for case, dtype, scale, beta, shape in (
        ("int8", "int8", 0.0497, 1.0, (1, 256)),
        ("int8_two", "int8", 0.137, 1.0, (7, 2)),
        ("int8_one", "int8", 0.137, 1.0, (3, 1)),
        ("int8_rank_4", "int8", 0.021, 1.0, (2, 2, 3, 10)),
        ("int8_beta_half", "int8", 0.11, 0.5, (2, 40)),
        ("int8_beta_2", "int8", 0.013, 2.0, (2, 40)),
        ("int8_wide", "int8", 1.9, 1.0, (3, 30)),
        ("uint8", "uint8", 0.0497, 1.0, (1, 256)),
        ("uint8_rows", "uint8", 0.16960, 1.0, (3, 91)),
        ("uint8_beta", "uint8", 0.05, 1.7, (2, 50)),
        ("uint8_rank_1", "uint8", 0.07, 1.0, (20,)),
    ):
        q = Q(dtype, scale, RANGE[dtype][1] if "beta" in case else 4)
        y = Q(dtype, 1 / 256, RANGE[dtype][0])
        values = random.permutation(q.all) if shape[-1] == 256 else q.some(random, shape)
        unary(vectors, "SOFTMAX", case, q, y, values.reshape(shape), beta=beta)
    # Few levels: equal values, and probabilities on the edge between two steps.
    q, y = Q("uint8", 0.7, 0), Q("uint8", 1 / 256, 0)
    values = random.integers(100, 104, (16, 8))
    unary(vectors, "SOFTMAX", "uint8_equal", q, y, values, beta=1.0)
    q, y = Q("int8", 0.7, 0), Q("int8", 1 / 256, -128)
    unary(vectors, "SOFTMAX", "int8_equal", q, y, values - 128, beta=1.0)


def rectified(vectors, name):
    for case, a, y in (
        ("int8_same", Q("int8", 0.0497, -7), Q("int8", 0.0497, -7)),
        ("int8_rescaled", Q("int8", 0.0497, 12), Q("int8", 0.0317, -128)),
        ("int8_ties", Q("int8", 0.25, -128), Q("int8", 1.0, -100)),
        ("int8_top", Q("int8", 0.9, 0), Q("int8", 0.013, 127)),
        ("uint8_same", Q("uint8", 0.0497, 131), Q("uint8", 0.0497, 131)),
        ("uint8_rescaled", Q("uint8", 0.0211, 55), Q("uint8", 0.0237, 3)),
        ("uint8_steep", Q("uint8", 3.7, 128), Q("uint8", 4.0, 0)),
    ):
        unary(vectors, name, case, a, y, a.all)


@operator("relu")
def relu(vectors):
    rectified(vectors, "RELU")


@operator("relu6")
def relu6(vectors):
    rectified(vectors, "RELU6")


@operator("hard_swish")
def hard_swish(vectors):
    # The scale decides whether the relu-like factor is shifted left or right, the ratio of
    # scales how far the product goes right; from 16 places on that is odd in the original too.
    for case, a, y in (
        ("int8", Q("int8", 0.0497, -7), Q("int8", 0.0341, -120)),
        ("int8_wide", Q("int8", 0.9, 3), Q("int8", 0.88, -128)),
        ("int8_narrow", Q("int8", 0.0013, 127), Q("int8", 0.0021, 0)),
        ("int8_power_of_two", Q("int8", 0.03125, 0), Q("int8", 0.0625, 5)),
        ("int8_far_down", Q("int8", 0.0013, 100), Q("int8", 0.9, -128)),
        ("uint8", Q("uint8", 0.0497, 131), Q("uint8", 0.0341, 12)),
        ("uint8_ends", Q("uint8", 0.031, 255), Q("uint8", 0.0011, 255)),
        ("uint8_steep", Q("uint8", 1.7, 0), Q("uint8", 0.0171, 0)),
    ):
        unary(vectors, "HARD_SWISH", case, a, y, a.all)


@operator("sqrt")
def sqrt(vectors):
    # XNNPACK starts from the processor's own estimate on x86-64, exact on aarch64 as built in.
    random = np.random.default_rng(10)
    values = np.abs(reals(random, 200, 1e-12, 1e12))
    exact = [0.0, 1.0, 4.0, 2.25, np.inf, 2.0**-126, 2.0**-149, 3.4028235e38, 2.0, 0.5]
    unary(vectors, "SQRT", "float32", F32, F32, values, built_in_only=True)
    unary(vectors, "SQRT", "float32_ends", F32, F32, np.float32(exact), built_in_only=True)
