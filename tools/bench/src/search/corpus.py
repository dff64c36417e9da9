"""Makes the retrieval set: documentation of Python packages, and the questions of their FAQs.

    corpus.py REQUIREMENTS FOLDER

Loads the source distributions that REQUIREMENTS pins by hash, and writes to FOLDER:

- `documents/PACKAGE/NAME.md`: their documentation as Markdown. Each heading of an FAQ that ends with
  a question mark is taken out: `Question 17` stands in its place.
- `questions.json`: a list of `{"question", "document", "heading"}`. The one right answer of a question
  is what stands under that heading of that document.

What was written before is kept, and nothing is loaded again.
"""

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

# Where each package keeps its documentation, by the name of its distribution.
DOCUMENTATION = {
    "aiohttp": "docs",
    "black": "docs",
    "celery": "docs",
    "coverage": "doc",
    "cython": "docs/src",
    "django": "docs",
    "gunicorn": "docs/source",
    "mypy": "docs/source",
    "scrapy": "docs",
    "sphinx": "doc",
}
# What changed between versions answers no question, and is a third of some documentations.
LEFT_OUT = re.compile(r"(^|/)(releases?|changelog|changes|history|whatsnew|news|man|locale|_\w+)([/.-]|$)", re.I)
# "How do I …?" asks nothing that could be found.
LEAST_WORDS = 4
SUFFIXES = {".rst", ".txt", ".md"}
ADORNMENT = re.compile(r"^([!-/:-@[-`{-~])\1{2,}\s*$")
# :ref:`text <target>` and :mod:`text` -> text; `text <url>`_ -> text; ``code`` -> `code`.
ROLE = re.compile(r":[\w:+-]+:`~?!?([^`<]+?)(?:\s*<[^`>]*>)?`")
LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?")
CODE = re.compile(r"``([^`]+)``")
NOISE = re.compile(r"^\.\. (_|index::|contents::|toctree::|currentmodule::|module::|highlight::|meta::)")


def load(requirements: Path, into: Path) -> None:
    """Loads source distributions; builds nothing of them but their metadata."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--no-binary", ":all:", "--require-hashes", "--dest", str(into), "--requirement", str(requirements)],
        check=True,
    )


def plain(line: str) -> str:
    """A line without the markup of roles, links and literals."""
    return CODE.sub(r"`\1`", LINK.sub(r"\1", ROLE.sub(r"\1", line)))


def markdown(text: str) -> list[str]:
    """reStructuredText with its headings as those of Markdown: levels in the order of their first use."""
    lines = text.expandtabs(4).splitlines()
    levels: list[str] = []
    out: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        over = at + 2 < len(lines) and ADORNMENT.match(line) and lines[at + 2].rstrip() == line.rstrip()
        title = lines[at + 1].strip() if over else line.strip()
        under = lines[at + 2] if over else (lines[at + 1] if at + 1 < len(lines) else "")
        is_heading = (
            title
            and not ADORNMENT.match(title)
            and (over or not line.startswith(" "))
            and ADORNMENT.match(under)
            and len(under.rstrip()) >= min(len(title), 4)
        )
        if is_heading:
            style = under[0] + ("o" if over else "")
            if style not in levels:
                levels.append(style)
            out += ["", "#" * min(levels.index(style) + 1, 6) + " " + plain(title), ""]
            at += 3 if over else 2
            continue
        if not NOISE.match(line):
            out.append(plain(line.rstrip()))
        at += 1
    return out


def documents(archive: Path):
    """Each document of a source distribution: its path below the documentation, and its text."""
    package = re.match(r"[A-Za-z]+", archive.name)[0].lower()
    with tarfile.open(archive) as files:
        for file in files:
            _, _, path = file.name.partition("/")
            below = path.removeprefix(DOCUMENTATION[package] + "/")
            if not file.isfile() or below == path or Path(below).suffix not in SUFFIXES or LEFT_OUT.search(below):
                continue
            text = files.extractfile(file).read().decode("utf-8")
            yield package, below, text


def without_questions(path: str, lines: list[str], asked: list[dict], document: str) -> list[str]:
    """The lines of an FAQ, each question replaced by its number; the questions go to `asked`."""
    if "faq" not in path.lower():
        return lines
    out = []
    for line in lines:
        heading = re.match(r"(#+) (?:Q: )?(.*\?)$", line)
        if heading and len(heading[2].split()) >= LEAST_WORDS:
            name = f"Question {len(asked) + 1}"
            asked.append({"question": heading[2].replace("`", ""), "document": document, "heading": name})
            line = f"{heading[1]} {name}"
        out.append(line)
    return out


def main() -> None:
    requirements, folder = Path(sys.argv[1]), Path(sys.argv[2])
    questions = folder / "questions.json"
    if questions.exists() and questions.stat().st_mtime >= Path(__file__).stat().st_mtime:
        return
    archives = folder / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    load(requirements, archives)
    asked: list[dict] = []
    for archive in sorted(archives.glob("*.tar.gz")):
        for package, below, text in documents(archive):
            lines = text.splitlines() if below.endswith(".md") else markdown(text)
            name = f"{package}/{Path(below).with_suffix('')}".replace("/", "-") + ".md"
            lines = without_questions(below, lines, asked, name)
            written = folder / "documents" / name
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text("\n".join(lines).strip() + "\n", encoding="utf-8")
    questions.write_text(json.dumps(asked, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
