"""tests/vectors/detectors/KIND.golden: small detectors, and what LiteRT finds with them.

A container as golden.py describes it; the outputs are the post-processing's own: boxes, classes,
scores and how many. Each file has another way from its heads to the post-processing.
"""

import struct

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

import golden
from families import Network
from golden import NONE, RELU6, SAME, Graph

# Places of the two levels, anchors of a place, classes, and the lowest score of a detection.
LEVELS, ANCHORS, CLASSES, LEAST = [6, 3], 2, 3, 0.3


def post_process(graph, boxes, scores, anchors, **options):
    """The custom operator at the end, and its outputs."""
    number = graph._code("CUSTOM", 1)
    graph.codes[number].customCode = b"TFLite_Detection_PostProcess"
    operator = schema.OperatorT()
    operator.opcodeIndex = number
    most = options.setdefault("max_detections", 6)
    shapes = [(1, most, 4), (1, most), (1, most), (1,)]
    operator.inputs = [boxes, scores, anchors]
    operator.outputs = [graph.tensor(shape, "float32") for shape in shapes]
    options = {
        "max_classes_per_detection": 1,
        "nms_iou_threshold": 0.6,
        "nms_score_threshold": LEAST,
        "num_classes": CLASSES,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
        **options,
    }
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in options.items():
            add = {bool: builder.Bool, int: builder.Int, float: builder.Float}[type(value)]
            add(key, value)
    operator.customOptions = np.frombuffer(builder.Finish(), np.uint8)
    graph.operators.append(operator)
    graph.outputs = operator.outputs


def anchors(random):
    """Boxes around each place: [y, x, h, w], shares of the picture."""
    rows = []
    for side in LEVELS:
        for at in range(side * side):
            centre = [(at // side + 0.5) / side, (at % side + 0.5) / side]
            rows += [[*centre, *random.uniform(0.7, 1.6, 2) / side] for _ in range(ANCHORS)]
    return np.array(rows, np.float32)


def heads(net, x, columns):
    """Boxes and classes of two levels, as reshaped heads: [[...], [...]]."""
    x = net.conv(x, 8, 3, stride=2, activation=RELU6)
    fine = net.conv(net.depthwise(x, activation=RELU6), 8, activation=RELU6)
    coarse = net.conv(fine, 8, 3, stride=2, activation=RELU6)
    shared = net.dtype == "int8"
    found = []
    for size in (4, columns):
        like, branch = None, []
        for level, side in zip([fine, coarse], LEVELS):
            head = net.conv(level, ANCHORS * size, like=like)
            if like is None:
                soften(net, room=3 if shared else 1)
            # INT8 concatenations do not rescale.
            like = head if shared else None
            branch.append(net.reshape(head, 1, side * side * ANCHORS, size))
        found.append(branch)
    return found


def soften(net, room):
    """Makes the numbers of the last convolution smaller: scores of all sizes, fewer equals; with
    `room` beyond them for those of another level."""
    last = net.graph.operators[-1]
    for tensor in [*last.inputs[1:], *last.outputs]:
        held = net.graph.tensors[tensor].quantization
        if held is not None:
            more = room if tensor in last.outputs else 1
            held.scale = [scale / 2 * more for scale in held.scale]


def joined(net, branch, size):
    whole = sum(ANCHORS * side * side for side in LEVELS)
    like = branch[0] if net.dtype == "int8" else None
    most = max(128 * net.quantization(it)["scale"][0] for it in branch)
    return net.layer("CONCATENATION", branch, [1, whole, size], like=like, guess=most, axis=1,
                     fusedActivationFunction=NONE)


def spread(net, tensor):
    """Divisors of the numbers of boxes that bring them to the order of 1."""
    held = net.quantization(tensor)
    most = float(128 * held["scale"][0])
    return {"y_scale": most, "x_scale": most, "h_scale": most, "w_scale": most}


def dequantized(net, tensor):
    made = net.graph.tensor(net.shape(tensor), "float32")
    net.graph.operator("DEQUANTIZE", [tensor], [made])
    return made


def uint8(seed, **options):
    """As the COCO SSDs: concatenations rescale, a background, anchors of bytes."""
    net = Network(seed, "uint8")
    boxes, scores = heads(net, net.input(1, 12, 12, 3), CLASSES + 1)
    boxes, scores = joined(net, boxes, 4), joined(net, scores, CLASSES + 1)
    options.update(spread(net, boxes))
    scores = net.fixed("LOGISTIC", [scores], net.shape(scores), 1 / 256, 0)
    stored = np.rint(anchors(net.random) / 0.0066).astype(int)
    stored = net.graph.constant(stored, "uint8", scale=0.0066, zero=0)
    post_process(net.graph, boxes, scores, stored, **options)
    return net


def int8(seed, **options):
    """As EfficientDet-Lite: pixels become INT8, real numbers before the post-processing."""
    net = Network(seed, "int8")
    net.dtype = "uint8"
    x = net.input(1, 12, 12, 3)
    net.dtype = "int8"
    held = net.graph.tensors[x].quantization
    y = net.graph.tensor((1, 12, 12, 3), "int8", scale=held.scale, zero=held.zeroPoint[0] - 128)
    net.graph.operator("QUANTIZE", [x], [y])
    boxes, scores = heads(net, y, CLASSES)
    boxes, scores = joined(net, boxes, 4), joined(net, scores, CLASSES)
    options.update(spread(net, boxes))
    scores = net.fixed("LOGISTIC", [scores], net.shape(scores), 1 / 256, 0)
    boxes, scores = dequantized(net, boxes), dequantized(net, scores)
    rows = net.graph.constant(anchors(net.random), "float32")
    post_process(net.graph, boxes, scores, rows, **options)
    return net


def softmax(seed, **options):
    """Scores share one whole: no table can tell them, so the network has to."""
    net = Network(seed, "uint8")
    boxes, scores = heads(net, net.input(1, 12, 12, 3), CLASSES + 1)
    boxes, scores = joined(net, boxes, 4), joined(net, scores, CLASSES + 1)
    options.update(spread(net, boxes))
    scores = net.fixed("SOFTMAX", [scores], net.shape(scores), 1 / 256, 0, beta=0.05)
    boxes, scores = dequantized(net, boxes), dequantized(net, scores)
    rows = net.graph.constant(anchors(net.random), "float32")
    post_process(net.graph, boxes, scores, rows, **options)
    return net


class Real(Network):
    """A graph of real numbers."""

    def __init__(self, seed):
        super().__init__(seed, "float32")

    def input(self, *shape):
        pixels = self.random.integers(0, 256, shape).astype(np.float32)
        self.values.append((pixels - np.float32(127.5)) / np.float32(127.5))
        return self.graph.input(shape, "float32")

    def filters(self, shape, channels, axis):
        terms = np.prod(shape) / channels
        data = self.random.normal(0, 1.5 / np.sqrt(terms), shape).astype(np.float32)
        return self.graph.constant(data, "float32"), None

    def weighed(self, name, x, filters, scale, terms, shape, options, like=None):
        bias = self.random.normal(0, 0.3, shape[-1]).astype(np.float32)
        bias = self.graph.constant(bias, "float32")
        return self.layer(name, [x, filters, bias], shape, padding=SAME, dilationHFactor=1,
                          dilationWFactor=1, **options)

    def layer(self, name, inputs, shape, like=None, guess=None, **options):
        made = self.graph.tensor(shape, "float32")
        self.graph.operator(name, inputs, [made], **options)
        return made

    def quantization(self, tensor):
        return {"scale": [1 / 128], "zero": [0]}


def float32(seed, **options):
    """The whole graph of real numbers."""
    net = Real(seed)
    boxes, scores = heads(net, net.input(1, 12, 12, 3), CLASSES + 1)
    boxes, scores = joined(net, boxes, 4), joined(net, scores, CLASSES + 1)
    scores = net.layer("LOGISTIC", [scores], net.shape(scores))
    rows = net.graph.constant(anchors(net.random), "float32")
    post_process(net.graph, boxes, scores, rows, **options)
    return net


class Found(golden.Vectors):
    def defined(self, outputs):
        """Behind the last detection LiteRT leaves what was in memory: zeros here."""
        boxes, classes, scores, count = (np.array(it) for it in outputs)
        for rows in (boxes, classes, scores):
            rows[:, int(count[0]) :] = 0
        return [boxes, classes, scores, count]

    def container(self):
        return b"NJG1" + struct.pack("<I", len(self.records)) + b"".join(self.records)


def clear(net):
    """Whether the result hangs on no tie: LiteRT's order of equals is nobody's business."""
    values = [np.asarray(it, net.graph.types[at]) for at, it in zip(net.graph.inputs, net.values)]
    outputs, _ = golden.run(net.graph.build(), values)
    scores = outputs[2][0][: int(outputs[3][0])]
    inputs = net.graph.operators[-1].inputs[1]
    held = net.graph.outputs
    net.graph.outputs = [inputs]
    (rows,), _ = golden.run(net.graph.build(), values)
    net.graph.outputs = held
    rows = rows[0] if net.graph.types[inputs] == np.float32 else rows[0] / np.float32(256)
    everyone = rows[:, -CLASSES:].max(axis=1).astype(np.float32)
    return len(scores) > 3 and all((np.abs(everyone - it) < 1e-6).sum() == 1 for it in scores)


KINDS = {"uint8": uint8, "int8": int8, "softmax": softmax, "float32": float32}


def vectors(name):
    """The cases of one kind."""
    made = Found(name)
    for case, options in (("fast", {}), ("regular", {"use_regular_nms": True})):
        nets = (KINDS[name](seed, **options) for seed in range(3000, 3200))
        net = next(net for net in nets if clear(net))
        made.case(case, net.graph, net.values)
    return made
