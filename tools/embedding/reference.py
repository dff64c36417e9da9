"""What the Rust crate is measured against: the reference tokeniser and the full model.

    python reference.py goldens     rewrites shared/embedding/tests/suite/goldens.json
    python reference.py tiny        rewrites shared/embedding/tests/suite/tiny-minilm.json
    python reference.py evaluate    mean reciprocal rank of the table and of full MiniLM on
                                    shared/embedding/tests/suite/retrieval.json
"""

import json
import struct
import sys
from pathlib import Path

import build
import minilm
import numpy as np
from tokenizers import Tokenizer

CRATE = Path(__file__).resolve().parents[2] / "shared" / "embedding"
SUITE = CRATE / "tests" / "suite"

TOKENISED = [
    "",
    " \t\r\n ",
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "unaffable embeddings retokenised antidisestablishmentarianism",
    "How do I rotate an API key without downtime?",
    "E-mail: someone@example.com, see https://example.com/a_b?c=d&e=%20#top",
    "fn main() { let x: Vec<u8> = vec![0; 1 << 20]; }",
    "$1,299.99 is 50% of €2 599,98 ± 3°",
    "don't can't it's O'Neil rock'n'roll",
    "ÀÉÎÕÜ café naïve résumé Ångström Škoda",
    "e\u0301 A\u030a n\u0303 decomposed",
    "Straße STRASSE ẞ ﬁne ﬂow Æsir œuvre ŁÓDŹ øre",
    "İstanbul ISTANBUL ıstanbul",
    "ΑΘΗΝΑ Σίσυφος ὈΔΥΣΣΕΎΣ",
    "Привет, мир! Ёлка и йод",
    "שָׁלוֹם עולם",
    "السَّلَامُ عَلَيْكُمْ ١٢٣",
    "नमस्ते दुनिया हिन्दी",
    "สวัสดีชาวโลก",
    "日本語のテキスト、カタカナとひらがな。",
    "我爱北京天安门mixed中文text",
    "豈更車 \u3400 \U00020000",
    "한국어 텍스트입니다",
    "emoji 🎉🚀 and 👩‍👩‍👧 family ❤️",
    "zero\u200bwidth soft\u00adhyphen bom\ufeffmark null\u0000byte bad\ufffdchar",
    "nbsp\u00a0thin\u2009ideographic\u3000line\u2028para\u2029end",
    "vertical\u000btab form\u000cfeed next\u0085line bell\u0007",
    "private\ue000use unassigned\u0378point",
    "“curly” ‘quotes’ — em–en… «guillemets» ¿qué? ¡hola!",
    "a+b=c; x^2 ~ y | z ` < > $ \\ / [ ] { }",
    "§ ¶ † ‡ • № ™ © ® ½ ² ₂ Ⅷ ①",
    "snake_case camelCase kebab-case SCREAMING_CASE v1.2.3-rc.4",
    "a" * 100,
    "a" * 101,
    "é" * 100 + " " + "é" * 101,
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "## ##ing hash##tag #1",
    "one\n\ntwo\tthree   four",
    "ไ" * 20 + "x",
    "qıqı 𝒻𝒶𝓃𝒸𝓎 ｆｕｌｌｗｉｄｔｈ",
]

EMBEDDED = [
    "How do I rotate an API key without downtime?",
    "Das Überprüfen von Schlüsseln, 日本語 and emoji 🎉 in one line",
    "the the the",
]
COMPONENTS = 12


def tokeniser() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(build.upstream_directory() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def table() -> np.ndarray:
    """The table in floating point, read back from the file that ships."""
    data = (CRATE / "model" / "table.bin").read_bytes()
    _, rows, dimensions = struct.unpack_from("<III", data, len(build.MAGIC))
    scales_at = len(build.MAGIC) + 12
    scales = np.frombuffer(data, "<f4", rows, scales_at)
    values = np.frombuffer(data, np.int8, rows * dimensions, scales_at + 4 * rows)
    return scales[:, None] * values.reshape(rows, dimensions)


def normalised(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def write_goldens() -> None:
    tokenizer, vectors = tokeniser(), table().astype(np.float64)

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    goldens = {
        "tokens": [{"text": text, "ids": ids(text)} for text in TOKENISED],
        "vectors": [
            {
                "text": text,
                "head": [round(x, 6) for x in normalised(vectors[ids(text)].sum(0))[:COMPONENTS].tolist()],
            }
            for text in EMBEDDED
        ],
    }
    path = SUITE / "goldens.json"
    lines = [
        f'  "{kind}": [\n'
        + ",\n".join(f"    {json.dumps(case)}" for case in cases)
        + "\n  ]"
        for kind, cases in goldens.items()
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{path.name}: {len(TOKENISED)} tokenised, {len(EMBEDDED)} embedded")


def write_tiny() -> None:
    """Vectors of the model that `minilm.py --tiny` writes, for the token ids beside them."""
    size = minilm.TINY
    build.LAYERS, build.HEADS, build.HIDDEN = size.layers, size.heads, size.hidden
    weights = {
        name: np.frombuffer(tensor.data, "<f4").reshape(tensor.shape)
        for name, tensor in minilm.arbitrary_weights(size).items()
    }
    cases = [[101, 102], [101, 1996, 102], [101, 1037, 1999, 1037, 102], list(range(size.positions))]
    lines = []
    for ids in cases:
        mean = build.forward(weights, np.array([ids]))[0].mean(0)
        vector = [round(x, 6) for x in normalised(mean.astype(np.float64)).tolist()]
        lines.append("  " + json.dumps({"ids": ids, "vector": vector}))
    path = SUITE / "tiny-minilm.json"
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    print(f"{path.name}: {len(cases)} embedded")


def mean_reciprocal_rank(questions: np.ndarray, passages: np.ndarray) -> float:
    scores = questions @ passages.T
    ranks = (scores > np.diag(scores)[:, None]).sum(1) + 1
    return float((1 / ranks).mean())


def evaluate() -> None:
    pairs = json.loads((SUITE / "retrieval.json").read_text(encoding="utf-8"))
    tokenizer, vectors, weights = tokeniser(), table(), build.load_weights()

    def static(text: str) -> np.ndarray:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        return normalised(vectors[ids].sum(0))

    def full(text: str) -> np.ndarray:
        return normalised(build.forward(weights, np.array([tokenizer.encode(text).ids]))[0].mean(0))

    for name, embed in (("static table", static), ("full MiniLM", full)):
        questions = np.stack([embed(pair["question"]) for pair in pairs])
        passages = np.stack([embed(pair["passage"]) for pair in pairs])
        score = mean_reciprocal_rank(questions, passages)
        print(f"{name}: MRR {score:.4f} over {len(pairs)} questions")


if __name__ == "__main__":
    commands = {"goldens": write_goldens, "tiny": write_tiny, "evaluate": evaluate}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]]()
