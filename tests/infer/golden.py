"""Golden vectors for the int8 engine: small TFLite graphs, and what LiteRT makes of them.

A graph is described in a few lines, built into a .tflite file, and run by LiteRT with XNNPACK
(its default) and without. Expected are XNNPACK's bytes where XNNPACK takes the operator, the
built-in kernel's where it does not; each case says which.

    graph = Graph()
    a = graph.input((1, 4, 4, 3), "int8", scale=0.02, zero=-5)
    b = graph.constant(array, "int8", scale=0.1, zero=0)     # array: integers as stored
    y = graph.output((1, 4, 4, 3), "int8", scale=0.04, zero=7)
    graph.operator("ADD", [a, b], [y], fusedActivationFunction=RELU)
    vectors.case("relu", graph, [values of a])

A container, little-endian: magic `NJG1`; u32 cases; each: u32 + name, u8 engine (0 built-in,
1 XNNPACK), u32 + .tflite, u32 inputs, each u32 + raw bytes, u32 outputs, each u32 + raw bytes.
Inputs and outputs stand in the graph's order; a tensor's bytes are its elements, row-major.
"""

import struct
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

NONE = schema.ActivationFunctionType.NONE
RELU = schema.ActivationFunctionType.RELU
RELU6 = schema.ActivationFunctionType.RELU6
RELU_N1_TO_1 = schema.ActivationFunctionType.RELU_N1_TO_1
SAME = schema.Padding.SAME
VALID = schema.Padding.VALID

BUILT_IN, XNNPACK = 0, 1
MOST_BYTES = 25 * 1024

# The options table of each operator that is not NAME in camel case + "Options".
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "LOGISTIC": None,
    "RELU": None,
    "RELU6": None,
    "SQRT": None,
}


def engine_type(name):
    """The schema's number of a numpy type name."""
    return getattr(schema.TensorType, name.upper())


class Graph:
    """One subgraph, in the order it is described."""

    def __init__(self):
        self.buffers = [schema.BufferT()]
        self.codes = []
        self.tensors, self.operators = [], []
        self.inputs, self.outputs = [], []
        self.types = []

    def tensor(self, shape, dtype, scale=None, zero=0, axis=0):
        """An intermediate tensor. `scale` is a number, or a list: one for each of `axis`."""
        tensor = schema.TensorT()
        tensor.name = f"t{len(self.tensors)}".encode()
        tensor.shape = [int(it) for it in shape]
        tensor.type = engine_type(dtype)
        tensor.buffer = 0
        if scale is not None:
            tensor.quantization = _quantization(scale, zero, axis)
        self.tensors.append(tensor)
        self.types.append(np.dtype(dtype))
        return len(self.tensors) - 1

    def input(self, *args, **kwargs):
        self.inputs.append(self.tensor(*args, **kwargs))
        return self.inputs[-1]

    def output(self, *args, **kwargs):
        self.outputs.append(self.tensor(*args, **kwargs))
        return self.outputs[-1]

    def constant(self, data, dtype, **quantization):
        """A tensor with its data: an array of the values as stored, of the array's shape."""
        data = np.asarray(data)
        stored = data.astype(dtype)
        assert (stored == data).all(), "the data fits its type"
        index = self.tensor(stored.shape, dtype, **quantization)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(stored.tobytes(), np.uint8)
        self.tensors[index].buffer = len(self.buffers)
        self.buffers.append(buffer)
        return index

    def operator(self, name, inputs, outputs, version=1, **options):
        """One operator; `options` are the fields of its options table, in the schema's names."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(name, version)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        table = OPTIONS.get(name, name.title().replace("_", "") + "Options")
        if table is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, table + "T")()
            for field, value in options.items():
                assert hasattr(operator.builtinOptions, field), f"{table} has no {field}"
                setattr(operator.builtinOptions, field, value)
        else:
            assert not options, f"{name} has no options"
        self.operators.append(operator)

    def build(self):
        """The .tflite file's bytes."""
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = self.inputs, self.outputs
        model = schema.ModelT()
        model.version = 3
        model.operatorCodes, model.subgraphs = self.codes, [subgraph]
        model.buffers = self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _code(self, name, version):
        number = getattr(schema.BuiltinOperator, name)
        for at, code in enumerate(self.codes):
            if (code.builtinCode, code.version) == (number, version):
                return at
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = number, version
        # Readers before schema 3a know only a byte; 127 sends newer ones to builtinCode.
        code.deprecatedBuiltinCode = min(number, 127)
        self.codes.append(code)
        return len(self.codes) - 1


def _quantization(scale, zero, axis):
    made = schema.QuantizationParametersT()
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    made.scale = scales.tolist()
    made.zeroPoint = np.broadcast_to(np.asarray(zero, np.int64), scales.shape).tolist()
    made.quantizedDimension = axis
    return made


def run(model, inputs, delegate=True):
    """The outputs' arrays, and whether XNNPACK ran (any of) the graph."""
    kind = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=model, num_threads=1, experimental_op_resolver_type=kind
    )
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    assert len(details) == len(inputs), "a value for each input"
    for detail, value in zip(details, inputs):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    outputs = [interpreter.get_tensor(it["index"]) for it in interpreter.get_output_details()]
    # A delegate's node joins the nodes it replaces at the end of the list.
    names = [it["op_name"] for it in interpreter._get_ops_details()]
    return outputs, "DELEGATE" in names


class Vectors:
    """The cases of one operator."""

    def __init__(self, name):
        self.name = name
        self.records = []
        self.notes = []

    def case(self, name, graph, inputs, built_in_only=False):
        """Runs `graph` on `inputs` (values as stored, of any shape that fits) and keeps it.

        `built_in_only` is for what XNNPACK computes otherwise on each kind of processor.
        """
        model = graph.build()
        inputs = [
            np.ascontiguousarray(value, graph.types[index]).reshape(graph.tensors[index].shape)
            for index, value in zip(graph.inputs, inputs, strict=True)
        ]
        # A mixed graph is what users run too: XNNPACK's part by XNNPACK, the rest built in.
        expected, taken = run(model, inputs)
        built_in = self._built_in(model, inputs)
        if built_in_only:
            expected, taken = built_in, False
        record = [_counted(name.encode()), struct.pack("<B", XNNPACK if taken else BUILT_IN)]
        record += [_counted(model), struct.pack("<I", len(inputs))]
        record += [_counted(it.tobytes()) for it in inputs]
        expected = self.defined(expected)
        record += [struct.pack("<I", len(expected))]
        record += [_counted(it.tobytes()) for it in expected]
        self.records.append(b"".join(record))
        who = "XNNPACK" if taken else "built-in"
        self.notes.append(f"{name}: {who}, {_beside(expected, built_in)}")
        return expected

    def defined(self, outputs):
        """The outputs without what is only left in memory."""
        return outputs

    @staticmethod
    def _built_in(model, inputs):
        """What the built-in kernels make of it, or None where they refuse it."""
        try:
            outputs, delegated = run(model, inputs, delegate=False)
        except RuntimeError:
            return None
        assert not delegated, "the plain resolver has no delegate"
        return outputs

    def container(self):
        made = b"NJG1" + struct.pack("<I", len(self.records)) + b"".join(self.records)
        assert len(made) <= MOST_BYTES, f"{self.name}: {len(made)} bytes"
        return made


def _beside(expected, built_in):
    if built_in is None:
        return "the built-in kernel refuses it"
    differ = sum(
        int(np.count_nonzero(np.atleast_1d(a) != np.atleast_1d(b)))
        for a, b in zip(expected, built_in)
    )
    return f"{differ} values unlike the built-in kernel's" if differ else "as built in"


def _counted(data):
    return struct.pack("<I", len(data)) + data


def read(path):
    """A container's cases: (name, engine, tflite, inputs, outputs), the last two raw bytes."""
    data = Path(path).read_bytes()
    assert data[:4] == b"NJG1"
    at = 4

    def number():
        nonlocal at
        at += 4
        return struct.unpack_from("<I", data, at - 4)[0]

    def counted():
        nonlocal at
        length = number()
        at += length
        return data[at - length : at]

    cases = []
    for _ in range(number()):
        name = counted().decode()
        engine = data[at]
        at += 1
        model = counted()
        inputs = [counted() for _ in range(number())]
        cases.append((name, engine, model, inputs, [counted() for _ in range(number())]))
    assert at == len(data)
    return cases


OPERATORS = {}


def operator(name):
    """Marks a function that adds the cases of one operator to the `Vectors` it is given."""

    def mark(function):
        assert name not in OPERATORS, f"{name} has its cases already"
        OPERATORS[name] = function
        return function

    return mark


def vectors(name):
    made = Vectors(name)
    OPERATORS[name](made)
    return made
