"""Reads a PDF over and over, for at least as many seconds as asked, and says how long it takes."""

import io
import json
import statistics
import sys
import time

import pypdf

path, seconds = sys.argv[1], float(sys.argv[2])
with open(path, "rb") as file:
    content = file.read()

times, characters = [], 0
began = time.perf_counter()
while not times or time.perf_counter() - began < seconds:
    start = time.perf_counter()
    pages = pypdf.PdfReader(io.BytesIO(content)).pages
    characters = sum(len(page.extract_text()) for page in pages)
    times.append(time.perf_counter() - start)

figures = {
    "version": pypdf.__version__,
    "seconds": statistics.median(times),
    "characters": characters,
}
print(json.dumps(figures))
