"""The bench's peer: TFLite with XNNPACK on one thread, asked line by line on standard input.

    model PATH       -> ok VERSION          loads a file, as it is where TFLite takes it
    input PATH       -> ok BYTES            raw bytes, the input of every run from here on
    tensors PATH     -> ok BYTES            one inference; writes what the peer computed: the raw
                                            heads of a detector, each predictor's boxes before its
                                            classes, else the outputs
    run N            -> ok NS CPU_NS ...    N inferences, each with its two times
What goes wrong is answered with `error` and words.
"""

import sys
import time
from pathlib import Path

import flatbuffers
import numpy
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "infer"))
from models import loadable  # noqa: E402

POST_PROCESS = b"TFLite_Detection_PostProcess"


def interpreter(content):
    """XNNPACK is what the default resolver takes."""
    made = Interpreter(model_content=content, num_threads=1)
    made.allocate_tensors()
    return made


def builtin(model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    # Old files hold the number in the first of the two fields only.
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def joined(model, tensor):
    """The inputs of the CONCATENATION that `tensor` comes from: one a predictor."""
    graph = model.subgraphs[0]
    makers = {made: operator for operator in graph.operators for made in operator.outputs}
    while builtin(model, makers[tensor]) != schema.BuiltinOperator.CONCATENATION:
        tensor = makers[tensor].inputs[0]
    return [int(each) for each in makers[tensor].inputs]


def with_heads(content):
    """The file with a detector's heads as its only outputs; and whether it is a detector's."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].customCode == POST_PROCESS:
            boxes, classes = (joined(model, tensor) for tensor in operator.inputs[:2])
            heads = [head for pair in zip(boxes, classes) for head in pair]
            # The operators stay: the inner ones are computed as in the whole file.
            graph.outputs = numpy.concatenate([numpy.array(heads, numpy.int32), graph.outputs])
            builder = flatbuffers.Builder(len(content))
            builder.Finish(model.Pack(builder), b"TFL3")
            return bytes(builder.Output()), len(heads)
    return content, None


class Peer:
    def __init__(self):
        self.content = self.interpreter = self.input = None

    def model(self, path):
        with open(path, "rb") as file:
            self.content = loadable(file.read())
        self.interpreter = interpreter(self.content)
        import ai_edge_litert

        return getattr(ai_edge_litert, "__version__", "?")

    def fill(self, interpreter):
        detail = interpreter.get_input_details()[0]
        tensor = numpy.frombuffer(self.input, detail["dtype"]).reshape(detail["shape"])
        interpreter.set_tensor(detail["index"], tensor)

    def set_input(self, path):
        with open(path, "rb") as file:
            self.input = file.read()
        self.fill(self.interpreter)
        return len(self.input)

    def tensors(self, path):
        content, heads = with_heads(self.content)
        probe = interpreter(content)
        self.fill(probe)
        probe.invoke()
        details = probe.get_output_details()[:heads]
        computed = b"".join(probe.get_tensor(detail["index"]).tobytes() for detail in details)
        with open(path, "wb") as file:
            file.write(computed)
        return len(computed)

    def run(self, count):
        times = []
        for _ in range(int(count)):
            self.fill(self.interpreter)
            wall, cpu = time.perf_counter_ns(), time.process_time_ns()
            self.interpreter.invoke()
            cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
            times += [wall, cpu]
        return " ".join(map(str, times))


def main():
    peer = Peer()
    verbs = {
        "model": peer.model,
        "input": peer.set_input,
        "tensors": peer.tensors,
        "run": peer.run,
    }
    for line in sys.stdin:
        verb, _, argument = line.rstrip("\n").partition(" ")
        try:
            answer = f"ok {verbs[verb](argument)}"
        except Exception as fault:
            answer = "error " + " ".join(str(fault).split())
        print(answer, flush=True)


main()
