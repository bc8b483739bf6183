"""Cases of the operators that look at one place at a time."""

import numpy as np

from golden import RELU, Graph, operator


@operator("add")
def add(vectors):
    random = np.random.default_rng(1)
    graph = Graph()
    a = graph.input((1, 4, 4, 3), "int8", scale=0.02, zero=-5)
    b = graph.input((1, 4, 4, 3), "int8", scale=0.05, zero=3)
    y = graph.output((1, 4, 4, 3), "int8", scale=0.06, zero=7)
    graph.operator("ADD", [a, b], [y], fusedActivationFunction=RELU)
    values = [random.integers(-128, 128, 48) for _ in range(2)]
    vectors.case("same_shape", graph, values)
