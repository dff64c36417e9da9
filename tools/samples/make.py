"""Writes the sample documents of the repository, the same bytes on every run.

    python3 -m venv venv
    venv/bin/pip install -r tools/samples/requirements.txt
    venv/bin/python tools/samples/make.py            # writes samples/
    venv/bin/python tools/samples/make.py --check    # fails if samples/ differs

The on-call FAQ and questions.json are written by hand and live in samples/ alone.
"""

import pathlib
import sys
import tempfile

import agreement
import handbook

SAMPLES = pathlib.Path(__file__).resolve().parents[2] / "samples"
WRITERS = {
    "turbine-maintenance-handbook.pdf": handbook.write,
    "bearing-supply-agreement.docx": agreement.write,
}


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        raise SystemExit(__doc__)
    differing = []
    for name, write in WRITERS.items():
        committed = SAMPLES / name
        if not check:
            write(committed)
            print(f"wrote {committed.relative_to(SAMPLES.parent)}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            fresh = pathlib.Path(folder) / name
            write(fresh)
            if not committed.exists() or committed.read_bytes() != fresh.read_bytes():
                differing.append(name)
    if differing:
        raise SystemExit(f"differs from what the script writes: {', '.join(differing)}")


if __name__ == "__main__":
    main()
