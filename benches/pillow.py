"""What Pillow makes of pictures, for benches/preprocess.rs.

    pillow.py LIST

LIST holds a line `FILE WIDTH HEIGHT TIMES PIXELS` each: FILE is opened, converted to RGB and resized to WIDTH x HEIGHT
TIMES times; the bytes of the result go to PIXELS, and the best time in milliseconds to the standard output.
"""

import io
import sys
import time

import PIL
from PIL import Image

PINNED = "13.0.0"
if PIL.__version__ != PINNED:
    sys.exit(f"Pillow {PINNED} is compared with, this is {PIL.__version__}: pip install pillow=={PINNED}")

for line in open(sys.argv[1], encoding="utf-8"):
    file, width, height, times, pixels = line.rstrip("\n").split("\t")
    with open(file, "rb") as opened:
        content = opened.read()
    best, picture = float("inf"), None
    for _ in range(int(times)):
        began = time.perf_counter()
        picture = Image.open(io.BytesIO(content)).convert("RGB").resize((int(width), int(height)), Image.BICUBIC)
        best = min(best, time.perf_counter() - began)
    with open(pixels, "wb") as out:
        out.write(picture.tobytes())
    print(best * 1000)
