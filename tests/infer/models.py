"""tests/vectors/infer/models.txt: what LiteRT with XNNPACK makes of whole models.

The input of each model is made of the 300 x 300 tensors beside the golden heads: the nearest
pixel for each place, as `input` here and in tests/infer_models.rs says. Only outputs are kept: a
line has the model, the picture, the output's number, its length, its SHA-1, and its bytes where
they are few.
"""

import hashlib

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

import golden

MODELS = [
    "mobilenet_v2_1.0_224_quant",
    "person_detect",
    "blazeface_front_128",
    "movenet_lightning_ptq",
]
PICTURES = ["person", "cat_720p", "face"]
SIDE = 300
FEW = 256


def loadable(model):
    """The file's bytes, as they are where LiteRT takes them. A bias whose scales lie along an axis that it has not got, which older
    converters wrote and LiteRT now refuses, is told its only axis; no number changes."""
    made = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    wrong = [
        tensor.quantization
        for tensor in made.subgraphs[0].tensors
        if tensor.quantization and tensor.quantization.quantizedDimension >= max(1, len(tensor.shape))
    ]
    if not wrong:
        return model
    for quantization in wrong:
        quantization.quantizedDimension = 0
    builder = flatbuffers.Builder(len(model))
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def input(picture, shape, dtype):
    """A picture's tensor: the nearest pixel; grey by whole numbers; real numbers from -1 to 1."""
    _, rows, columns, channels = shape
    down, across = (np.arange(side) * SIDE // side for side in (rows, columns))
    pixels = picture[down][:, across].astype(int)
    if channels == 1:
        pixels = pixels @ [77, 150, 29] >> 8
    if dtype == np.float32:
        pixels = (pixels.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
    if dtype == np.int8:
        pixels = pixels - 128
    return pixels.astype(dtype).reshape(shape)


def lines(models, pictures):
    for name in MODELS:
        model = loadable((models / f"{name}.tflite").read_bytes())
        interpreter = golden.Interpreter(model_content=model)
        (detail,) = interpreter.get_input_details()
        for picture in PICTURES:
            pixels = np.fromfile(pictures / f"{picture}.input.u8", np.uint8)
            value = input(pixels.reshape(SIDE, SIDE, 3), detail["shape"], detail["dtype"])
            outputs, _ = golden.run(model, [value])
            for at, output in enumerate(outputs):
                data = output.tobytes()
                kept = data.hex() if len(data) <= FEW else ""
                digest = hashlib.sha1(data).hexdigest()
                yield f"{name} {picture} {at} {len(data)} {digest} {kept}".rstrip()

