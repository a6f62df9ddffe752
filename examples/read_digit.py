"""Asks a running Longshore which digit a picture shows, over REST.

    python examples/read_digit.py examples/seven.png [HOST:PORT]

Needs Pillow and nothing else. Dark strokes on a bright ground, as on paper, of any size.
"""

import json
import sys
import urllib.request

from PIL import Image, ImageOps

picture = Image.open(sys.argv[1]).convert("L")
address = sys.argv[2] if len(sys.argv) > 2 else "localhost:8501"

# The model has learned from eight rows of eight pixels, 0 for the ground and 16 for ink, filled by the digit.
ink = ImageOps.invert(picture)
ink = ink.crop(ink.getbbox())
side = max(ink.size)
ink = ImageOps.pad(ink, (side, side), color=0).resize((8, 8), Image.Resampling.BOX)
strongest = max(ink.get_flattened_data())
pixels = [[round(16 * ink.getpixel((x, y)) / strongest) for x in range(8)] for y in range(8)]
for row in pixels:
    print(" ".join(f"{value:2}" for value in row))

body = json.dumps({"instances": [pixels]}).encode()
request = urllib.request.Request(f"http://{address}/v1/models/digits_cnn:predict", body, {"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=10) as response:
    [answer] = json.load(response)["predictions"]
print(f"{answer['digit']}, with probability {answer['probabilities'][answer['digit']]:.3f}")
