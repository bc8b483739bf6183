"""TFLite with XNNPACK on one thread, for whoever counts its instructions.

    peer.py cut FILE OUT             a detector's file with its convolutions alone
    peer.py int8 FILE OUT            such a file with int8 activations and weights per channel
    peer.py run FILE INPUT RUNS OUT  RUNS inferences; OUT gets the outputs: of a detector its
                                     boxes, then its classes; int8 plus 128, as ours are stored
"""

import sys

import flatbuffers
import numpy
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

CONV, DEPTHWISE = schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D
INT8, UINT8 = schema.TensorType.INT8, schema.TensorType.UINT8


def read(path):
    with open(path, "rb") as file:
        return schema.ModelT.InitFromObj(schema.Model.GetRootAs(file.read(), 0))


def write(model, path):
    builder = flatbuffers.Builder(1 << 23)
    builder.Finish(model.Pack(builder), b"TFL3")
    with open(path, "wb") as file:
        file.write(builder.Output())


def builtin(model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    # Old files hold the number in the first of the two fields only.
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def cut(source, target):
    model = read(source)
    graph = model.subgraphs[0]
    kept = [each for each in graph.operators if builtin(model, each) in (CONV, DEPTHWISE)]
    used = {each.inputs[0] for each in kept}
    ends = [each.outputs[0] for each in kept if each.outputs[0] not in used]
    graph.operators, graph.outputs = kept, ends[0::2] + ends[1::2]
    write(model, target)


def per_channel(model, operator):
    """Weights of one scale a channel, symmetric; the bias in their steps."""
    tensors, buffers = model.subgraphs[0].tensors, model.buffers
    input, weights, bias = (tensors[at] for at in operator.inputs)
    axis = 3 if builtin(model, operator) == DEPTHWISE else 0
    old = weights.quantization
    stored = numpy.asarray(buffers[weights.buffer].data, numpy.uint8).reshape(weights.shape)
    real = (stored.astype(numpy.float64) - old.zeroPoint[0]) * old.scale[0]
    others = tuple(at for at in range(4) if at != axis)
    scales = numpy.maximum(numpy.abs(real).max(axis=others), old.scale[0]) / 127
    along = [-1 if at == axis else 1 for at in range(4)]
    steps = numpy.rint(real / scales.reshape(along)).astype(numpy.int8)
    sums = numpy.asarray(buffers[bias.buffer].data, numpy.uint8).view(numpy.int32)
    factor = bias.quantization.scale[0] / (input.quantization.scale[0] * scales)
    sums = numpy.clip(numpy.rint(sums * factor), -(2**30), 2**30).astype(numpy.int32)
    for tensor, data, scale, dimension in (
        (weights, steps, scales, axis),
        (bias, sums, input.quantization.scale[0] * scales, 0),
    ):
        buffers[tensor.buffer].data = data.ravel().view(numpy.uint8)
        quant = tensor.quantization
        quant.scale, quant.quantizedDimension = scale.astype(numpy.float32), dimension
        quant.zeroPoint = numpy.zeros(len(scale), numpy.int64)
    weights.type = INT8


def int8(source, target):
    model = read(source)
    for operator in model.subgraphs[0].operators:
        per_channel(model, operator)
        model.operatorCodes[operator.opcodeIndex].version = 3
    for tensor in model.subgraphs[0].tensors:
        if tensor.type == UINT8:
            tensor.type = INT8
            tensor.quantization.zeroPoint = numpy.asarray(tensor.quantization.zeroPoint) - 128
    write(model, target)


def excess(values):
    return numpy.uint8(128 if values.dtype == numpy.int8 else 0)


def run(path, picture, runs, target):
    # XNNPACK is what the default resolver takes.
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    form = interpreter.get_input_details()[0]
    values = numpy.zeros(form["shape"], form["dtype"])
    values.view(numpy.uint8)[:] = numpy.fromfile(picture, numpy.uint8).reshape(form["shape"])
    values.view(numpy.uint8)[:] ^= excess(values)
    interpreter.set_tensor(form["index"], values)
    for _ in range(int(runs)):
        interpreter.invoke()
    outputs = interpreter.get_output_details()
    with open(target, "wb") as file:
        for output in outputs:
            values = interpreter.get_tensor(output["index"])
            file.write((values.view(numpy.uint8) ^ excess(values)).tobytes())


{"cut": cut, "int8": int8, "run": run}[sys.argv[1]](*sys.argv[2:])
