"""Small graphs in the patterns of the detectors' families, with random weights.

The scale of each tensor is found by running the graph up to it, so that no layer's bytes pile
up at one end and a difference anywhere reaches the outputs.
"""

import numpy as np

import golden
from golden import NONE, RELU6, SAME, VALID, Graph, operator
from spatial import RANGE, windowed

# How much of a tensor's values its range covers; the rest saturates, as in real networks.
COVERED = (0.5, 99.5)


class Network:
    """A graph that grows by layers; a layer is known by its tensor's number."""

    def __init__(self, seed, dtype):
        self.random = np.random.default_rng(seed)
        self.dtype = dtype
        self.graph = Graph()
        self.values = []

    def shape(self, tensor):
        return self.graph.tensors[tensor].shape

    def quantization(self, tensor):
        held = self.graph.tensors[tensor].quantization
        return {"scale": held.scale, "zero": held.zeroPoint}

    def input(self, *shape):
        low, high = RANGE[self.dtype]
        zero = (low + high) // 2 + int(self.random.integers(-9, 10))
        self.values.append(self.random.integers(low, high, shape))
        return self.graph.input(shape, self.dtype, scale=0.02, zero=zero)

    def constant(self, numbers):
        return self.graph.constant(np.array(numbers), "int32")

    def bytes_of(self, tensor):
        """What LiteRT has in `tensor`, given this network's inputs."""
        outputs, self.graph.outputs = self.graph.outputs, [tensor]
        inputs = [
            np.asarray(value, self.graph.types[at]).reshape(self.shape(at))
            for at, value in zip(self.graph.inputs, self.values)
        ]
        (got,), _ = golden.run(self.graph.build(), inputs)
        self.graph.outputs = outputs
        return got.astype(int)

    def layer(self, name, inputs, shape, *, like=None, guess=None, **options):
        """Adds an operator. Its output is quantized `like` a given tensor, or fitted from a
        `guess` of its largest value."""
        low, high = RANGE[self.dtype]
        if like is not None:
            made = self.graph.tensor(shape, self.dtype, **self.quantization(like))
            self.graph.operator(name, inputs, [made], **options)
            return made
        middle = (low + high) // 2
        made = self.graph.tensor(shape, self.dtype, scale=guess / 128, zero=middle)
        self.graph.operator(name, inputs, [made], **options)
        activation = options.get("fusedActivationFunction", NONE)
        quantization = self.graph.tensors[made].quantization
        # Twice: the first guess may be coarse.
        for _ in range(2):
            scale, zero = quantization.scale[0], quantization.zeroPoint[0]
            least, most = np.percentile((self.bytes_of(made) - zero) * scale, COVERED)
            least, most = min(least, 0.0), max(most, scale)
            if activation == RELU6:
                least = 0.0
            quantization.scale = [float(np.float32((most - least) / 255))]
            quantization.zeroPoint = [int(low - round(least / quantization.scale[0]))]
        return made

    def filters(self, shape, channels, axis):
        """Constants of filters and biases, for a `conv`'s or `depthwise`'s next tensors."""
        each = self.dtype == "int8"
        scale = np.float32(self.random.uniform(0.002, 0.01, channels if each else 1))
        stored = self.random.integers(*((-127, 128) if each else (0, 256)), shape)
        zero = 0 if each else int(self.random.integers(110, 146))
        return self.graph.constant(
            stored, self.dtype, scale=scale, zero=zero, axis=axis if each else 0
        ), scale

    def weighed(self, name, x, filters, scale, terms, shape, options, like=None):
        input_scale = np.float32(self.quantization(x)["scale"][0])
        spread = 74 * 74 * np.sqrt(terms)
        bias = np.int64(self.random.normal(0, spread / 4, shape[-1]))
        bias = self.graph.constant(bias, "int32", scale=input_scale * scale)
        guess = 4 * spread * float(input_scale * np.median(scale))
        return self.layer(name, [x, filters, bias], shape, guess=guess, like=like,
                          padding=SAME, dilationHFactor=1, dilationWFactor=1, **options)

    def conv(self, x, channels, kernel=1, stride=1, activation=NONE, like=None):
        batch, *sides, depth = self.shape(x)
        filters, scale = self.filters((channels, kernel, kernel, depth), channels, 0)
        shape = [batch, *(windowed(it, kernel, stride, 1, SAME) for it in sides), channels]
        options = {"strideH": stride, "strideW": stride, "fusedActivationFunction": activation}
        return self.weighed("CONV_2D", x, filters, scale, kernel**2 * depth, shape, options, like)

    def depthwise(self, x, kernel=3, stride=1, activation=NONE):
        batch, *sides, depth = self.shape(x)
        filters, scale = self.filters((1, kernel, kernel, depth), depth, 3)
        shape = [batch, *(windowed(it, kernel, stride, 1, SAME) for it in sides), depth]
        options = {"strideH": stride, "strideW": stride, "fusedActivationFunction": activation,
                   "depthMultiplier": 1}
        return self.weighed("DEPTHWISE_CONV_2D", x, filters, scale, kernel**2, shape, options)

    def add(self, a, b):
        most = sum(128 * self.quantization(it)["scale"][0] for it in (a, b))
        return self.layer("ADD", [a, b], self.shape(a), guess=most,
                          fusedActivationFunction=NONE)

    def mean(self, x):
        batch, *_, depth = self.shape(x)
        return self.layer("MEAN", [x, self.constant([1, 2])], [batch, 1, 1, depth],
                          guess=128 * self.quantization(x)["scale"][0], keepDims=True)

    def fixed(self, name, inputs, shape, scale, low_zero, **options):
        """A layer whose quantization its operator prescribes; `low_zero` counts from the
        type's least value."""
        zero = RANGE[self.dtype][0] + low_zero
        made = self.graph.tensor(shape, self.dtype, scale=scale, zero=zero)
        self.graph.operator(name, inputs, [made], **options)
        return made

    def reshape(self, x, *shape):
        return self.layer("RESHAPE", [x, self.constant(shape)], shape, like=x,
                          newShape=list(shape))

    def case(self, vectors, name, *outputs):
        self.graph.outputs = list(outputs)
        return vectors.case(name, self.graph, self.values)


def inverted_residual(net, x, expand, channels, stride=1):
    """MobileNet v2's block: widen, look around, narrow, add."""
    y = net.conv(x, expand, activation=RELU6)
    y = net.depthwise(y, stride=stride, activation=RELU6)
    y = net.conv(y, channels)
    return net.add(x, y) if net.shape(x) == net.shape(y) else y


@operator("family_mobilenet_v2")
def family_mobilenet_v2(vectors):
    for seed, dtype in ((2000, "int8"), (2001, "uint8")):
        net = Network(seed, dtype)
        x = net.conv(net.input(1, 13, 11, 3), 8, 3, stride=2, activation=RELU6)
        x = inverted_residual(net, x, 20, 8)
        x = inverted_residual(net, x, 18, 12, stride=2)
        net.case(vectors, f"{dtype}_blocks", x)

        net = Network(seed + 10, dtype)
        x = inverted_residual(net, net.input(1, 5, 5, 10), 27, 10)
        x = net.conv(x, 17, activation=RELU6)
        x = net.layer("AVERAGE_POOL_2D", [x], [1, 1, 1, 17], like=x, padding=VALID,
                      filterHeight=5, filterWidth=5, strideH=1, strideW=1,
                      fusedActivationFunction=NONE)
        x = net.reshape(net.conv(x, 11), 1, 11)
        x = net.fixed("SOFTMAX", [x], [1, 11], 1 / 256, 0, beta=1.0)
        net.case(vectors, f"{dtype}_tail", x)


@operator("family_mobiledet")
def family_mobiledet(vectors):
    for seed, dtype in ((2102, "int8"), (2105, "uint8")):
        net = Network(seed, dtype)
        x = net.input(1, 9, 8, 6)
        # A fused block: the widening convolution looks around itself.
        y = net.conv(x, 16, 3, activation=RELU6)
        x = net.add(x, net.conv(y, 6))
        # A Tucker block: narrow, look around, widen.
        y = net.conv(x, 4, activation=RELU6)
        y = net.conv(y, 5, 3, activation=RELU6)
        x = net.add(x, net.conv(y, 6))
        x = net.conv(x, 18, 5, stride=2, activation=RELU6)
        net.case(vectors, f"{dtype}_fused_and_tucker", x)

        net = Network(seed + 10, dtype)
        x = net.depthwise(net.input(1, 7, 6, 14), kernel=5, stride=2, activation=RELU6)
        # Squeeze and excite.
        y = net.conv(net.mean(x), 6, activation=RELU6)
        y = net.conv(y, 14)
        y = net.fixed("LOGISTIC", [y], [1, 1, 1, 14], 1 / 256, 0)
        x = net.layer("MUL", [x, y], net.shape(x), guess=128 * net.quantization(x)["scale"][0],
                      fusedActivationFunction=NONE)
        net.case(vectors, f"{dtype}_squeeze_excite", net.conv(x, 9))


def separable(net, x, channels):
    return net.conv(net.depthwise(x), channels)


@operator("family_efficientdet_lite")
def family_efficientdet_lite(vectors):
    for seed, dtype in ((2200, "int8"), (2201, "uint8")):
        net = Network(seed, dtype)
        fine, coarse = net.input(1, 7, 8, 9), net.input(1, 4, 4, 9)
        # Down the pyramid: the coarse level joins the fine one.
        up = net.layer("RESIZE_NEAREST_NEIGHBOR", [coarse, net.constant([7, 8])],
                       net.shape(fine), like=coarse)
        top = separable(net, net.add(fine, up), 9)
        # And up again.
        down = net.layer("MAX_POOL_2D", [top], net.shape(coarse), like=top, padding=SAME,
                         filterHeight=3, filterWidth=3, strideH=2, strideW=2,
                         fusedActivationFunction=NONE)
        bottom = separable(net, net.add(net.add(coarse, down), coarse), 9)
        levels = [top, bottom]
        # One head on all levels, 3 anchors a place: classes 5, boxes 4.
        places = [3 * 7 * 8, 3 * 4 * 4]
        found = []
        for size in (5, 4):
            heads = []
            for level, many in zip(levels, places):
                head = net.conv(net.depthwise(level, activation=RELU6), 3 * size,
                                like=heads[0] if heads else None)
                heads.append(net.reshape(head, 1, many, size))
            found.append(net.layer("CONCATENATION", heads, [1, sum(places), size],
                                   like=heads[0], axis=1, fusedActivationFunction=NONE))
        scores = net.fixed("LOGISTIC", [found[0]], net.shape(found[0]), 1 / 256, 0)
        net.case(vectors, f"{dtype}_cell_and_heads", scores, found[1])
