"""Pictures for tests: QR codes as a screen shows them and as a hand-held camera sees paper, and hostile files.

What must not live here: expectations.
"""

import io
import struct
import zlib

import segno
from PIL import Image, ImageDraw, ImageFilter

TABLE = (96, 80, 60)
PAPER = (240, 238, 230)


def code_of(text, side=400):
    drawn = io.BytesIO()
    segno.make_qr(text, error="m").save(drawn, kind="png", scale=8, border=4)
    return Image.open(drawn).convert("RGB").resize((side, side))


def saved(picture, kind="JPEG", **how):
    written = io.BytesIO()
    picture.save(written, kind, **how)
    return written.getvalue()


def screenshot(*texts, kind="PNG"):
    """The codes side by side on a white screen."""
    screen = Image.new("RGB", (500 * max(1, len(texts)), 600), "white")
    for at, text in enumerate(texts):
        screen.paste(code_of(text), (50 + 500 * at, 100))
    return saved(screen, kind)


def photograph(text, *, size=(2016, 1512), side=330, turned=13, blur=1.6, kind="JPEG"):
    """A sheet with lines of print and a code, on a table, turned, seen from the side, a little blurred and noisy."""
    width, height = size
    paper = Image.new("RGB", (1050, 1400), PAPER)
    pen = ImageDraw.Draw(paper)
    for y in range(100, 800, 30):
        pen.line((100, y, 950, y), fill=(60, 60, 60), width=7)
    paper.paste(code_of(text, side), (350, 900))
    paper = paper.rotate(turned, expand=True, fillcolor=TABLE)
    paper.thumbnail((height, height))
    seen = Image.new("RGB", size, TABLE)
    seen.paste(paper, (150, 0))
    corners = (width * 0.05, height * 0.02, -width * 0.04, height, width, height * 1.02, width * 1.06, -height * 0.04)
    seen = seen.transform(size, Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    seen = seen.filter(ImageFilter.GaussianBlur(blur))
    noise = Image.effect_noise(size, 30).convert("RGB")
    return saved(Image.blend(seen, noise, 0.12), kind, quality=80)


def bomb(width, height):
    """A PNG of a few hundred bytes that says it is this large, and would unfold if it were believed."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
