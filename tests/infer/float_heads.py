"""tests/vectors/infer/float_heads.txt: the heads of the COCO SSD with all its numbers real.

tests/harness/dequantized.rs makes the same file. Of each head some numbers are kept, evenly
spread: a line has the picture, the head's name, how many numbers it has, and those.
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

import golden

MODEL = "ssd_mobilenet_v1_coco_quant"
PICTURES = ["person", "pets"]
KEPT = 12
WEIGHTED = [schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D]


def step(tensor):
    return np.float32(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])


def code_of(model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def dequantized(path):
    """The graph of real numbers up to its heads, and their names."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    graph = model.subgraphs[0]
    convs = [it for it in graph.operators if code_of(model, it) in WEIGHTED]
    for operator in convs:
        scale, zero = step(graph.tensors[operator.outputs[0]])
        if zero == 0 and abs(scale * 255 - 6) < 0.1:
            operator.builtinOptions.fusedActivationFunction = golden.RELU6
    biases = {operator.inputs[2] for operator in convs}
    for at, tensor in enumerate(graph.tensors):
        if tensor.type != schema.TensorType.UINT8 and at not in biases:
            continue
        scale, zero = step(tensor)
        zero, dtype = (0, np.int32) if at in biases else (zero, np.uint8)
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            stored = np.frombuffer(bytes(data), dtype).astype(np.int32) - zero
            buffer = schema.BufferT()
            buffer.data = np.frombuffer((scale * stored.astype(np.float32)).tobytes(), np.uint8)
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
        tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    heads = [it.outputs[0] for it in convs if b"BoxPredictor" in graph.tensors[it.outputs[0]].name]
    graph.operators, graph.outputs = convs, heads
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), [graph.tensors[it].name.decode() for it in heads]


def lines(models, pictures):
    model, names = dequantized(models / f"{MODEL}.tflite")
    for picture in PICTURES:
        pixels = np.fromfile(pictures / f"{picture}.input.u8", np.uint8).astype(np.float32)
        value = ((pixels - np.float32(127.5)) / np.float32(127.5)).reshape(1, 300, 300, 3)
        outputs, _ = golden.run(model, [value])
        for name, output in zip(names, outputs):
            numbers = output.reshape(-1)
            kept = numbers[:: -(-len(numbers) // KEPT)]
            yield f"{picture} {name} {len(numbers)} " + " ".join(f"{it:.6f}" for it in kept)

