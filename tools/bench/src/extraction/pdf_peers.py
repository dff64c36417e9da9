"""Other readers of PDF, and the files that all are measured on.

`make FOLDER PAGE…` renders pages of documentation (Markdown) by two writers of PDF, each in one and
in two columns, and writes beside each file the text that was put into it. `read READER PATH SECONDS`
reads a file over and over, for at least so many seconds, and says how long it takes and what is in
it.
"""

import io
import json
import re
import statistics
import sys
import time
from pathlib import Path


def blocks(page):
    """The blocks of a page: a kind, and its text without markup (of a table, its rows)."""
    found, paragraph, table, code = [], [], [], None

    def plain(text):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
        text = re.sub(r"[`*]+", "", text)
        return text.encode("latin-1", "ignore").decode("latin-1")

    def flush():
        if paragraph:
            found.append(("text", plain(" ".join(paragraph))))
            paragraph.clear()
        if table:
            found.append(("table", list(table)))
            table.clear()

    for line in page.splitlines():
        if line.startswith("```"):
            flush()
            code = [] if code is None else None
        elif code is not None:
            continue
        elif line.startswith("#"):
            flush()
            found.append(("heading", plain(line.lstrip("# "))))
        elif line.startswith("|"):
            if paragraph:
                flush()
            cells = [plain(cell.strip()) for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                table.append(cells)
        elif not line.strip():
            flush()
        elif line.startswith("- "):
            flush()
            paragraph.append(line[2:])
        else:
            paragraph.append(line.strip())
    flush()
    return found


def truth(page):
    parts = []
    for kind, content in blocks(page):
        parts.append("\n".join(" ".join(row) for row in content) if kind == "table" else content)
    return "\n\n".join(parts)


def with_reportlab(page, path, columns):
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph, Spacer, Table
    from xml.sax.saxutils import escape

    styles = getSampleStyleSheet()
    width, height, margin, gap = *A4, 50, 24
    each = (width - 2 * margin - (columns - 1) * gap) / columns
    frames = [
        Frame(margin + n * (each + gap), margin, each, height - 2 * margin) for n in range(columns)
    ]
    story = []
    for kind, content in blocks(page):
        if kind == "table":
            wide = max(len(row) for row in content)
            rows = [
                [Paragraph(escape(cell), styles["BodyText"]) for cell in row + [""] * (wide - len(row))]
                for row in content
            ]
            story.append(Table(rows, colWidths=[(each - 12) / wide] * wide))
        else:
            style = styles["Heading2" if kind == "heading" else "BodyText"]
            story.append(Paragraph(escape(content), style))
        story.append(Spacer(1, 4))
    document = BaseDocTemplate(str(path), pagesize=A4)
    document.addPageTemplates([PageTemplate(frames=frames)])
    document.build(story)


def with_fpdf(page, path, columns):
    from fpdf import FPDF

    document = FPDF(format="A4")
    document.add_page()
    document.set_font("Helvetica", size=10)
    if columns == 1:
        for kind, content in blocks(page):
            if kind == "table":
                with document.table() as table:
                    wide = max(len(row) for row in content)
                    for row in content:
                        table.row(row + [""] * (wide - len(row)))
            else:
                document.set_font("Helvetica", style="B" if kind == "heading" else "", size=10)
                document.multi_cell(0, 5, content, new_x="LMARGIN", new_y="NEXT")
                document.set_font("Helvetica", size=10)
            document.ln(2)
    else:
        with document.text_columns(ncols=columns, gutter=8, balance=False) as texts:
            for kind, content in blocks(page):
                if kind == "table":
                    content = "\n".join(" ".join(row) for row in content)
                texts.write(content + "\n\n")
    document.output(str(path))


def make(folder, pages):
    for page in pages:
        source = Path(page).read_text(encoding="utf-8")
        for writer, render in [("reportlab", with_reportlab), ("fpdf2", with_fpdf)]:
            for columns in [1, 2]:
                name = f"{Path(page).stem.lower()}-{writer}-{columns}"
                render(source, folder / f"{name}.pdf", columns)
                (folder / f"{name}.txt").write_text(truth(source), encoding="utf-8")


def reader(name):
    if name == "pypdf":
        import pypdf

        def read(content):
            return "\n".join(
                page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages
            )

        return pypdf.__version__, read
    import pdfminer
    from pdfminer.high_level import extract_text

    return pdfminer.__version__, lambda content: extract_text(io.BytesIO(content))


def measure(name, path, seconds):
    version, read = reader(name)
    content = Path(path).read_bytes()
    times, text = [], ""
    began = time.perf_counter()
    while not times or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        text = read(content)
        times.append(time.perf_counter() - start)
    return {"version": version, "seconds": statistics.median(times), "text": text}


if sys.argv[1] == "make":
    make(Path(sys.argv[2]), sys.argv[3:])
else:
    print(json.dumps(measure(sys.argv[2], sys.argv[3], float(sys.argv[4]))))
