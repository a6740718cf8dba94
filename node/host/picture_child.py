"""What the QR codes in one picture say: a program of its own, which `pictures.py` starts for a single picture.

What lives here: bounds on this process, and reading. What must not: an import of anything of ours, for it is run by its
file name, apart from the node; a word to anybody but the standard output.

A picture comes from a stranger, and libraries in C unfold it. They do so here, without the node's keys and store in
memory, within bounds on memory, time, files and processes; whatever becomes of this process, the node goes on.

Usage: `picture_child.py PIXELS BYTES SECONDS`, with the picture as standard input. Standard output is one JSON object,
`{"texts": […]}`, or `{"refused": "large"}` or `{"refused": "unreadable"}`.
"""

import io
import json
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

KINDS = ("JPEG", "PNG", "WEBP")
FIRST_SIDE = 1_600  # most photographs give way at this size, in a tenth of the time
CODES_MAX = 8
CHARS_MAX = 7_089  # in the largest QR code, all of them figures; the answer has to fit into a pipe
FILES_MAX = 64
NICE = 10  # the node's own work comes first


def bound(memory_bytes: int, seconds: int) -> None:
    """For this process and for good; the alarm ends it even where whoever started it is gone."""
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, FILES_MAX),
    ):
        resource.setrlimit(limit, (most, most))
    signal.alarm(seconds)
    os.nice(NICE)


def read(content: bytes, pixels_max: int) -> dict[str, object]:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  # only after `bound`

    Image.MAX_IMAGE_PIXELS = None  # ours is asked for below, and says which
    try:
        with Image.open(io.BytesIO(content), formats=KINDS) as picture:
            if picture.width * picture.height > pixels_max:
                return {"refused": "large"}
            return {"texts": texts_of(picture)}
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        return {"refused": "unreadable"}
    except MemoryError:
        return {"refused": "large"}


def texts_of(picture: "Image.Image") -> list[str]:
    """First a small copy, then the whole, each in grey, on white where it is transparent."""
    from PIL import Image  # noqa: PLC0415  # as above

    picture.draft("L", (2 * FIRST_SIDE, 2 * FIRST_SIDE))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        grey = Image.new("L", picture.size, "white")
        grey.paste(picture.convert("L"), mask=picture.getchannel("A"))
    else:
        grey = picture.convert("L")
    small = grey.copy()
    small.thumbnail((FIRST_SIDE, FIRST_SIDE))
    return codes_in(small) or (codes_in(grey) if grey.size != small.size else [])


def codes_in(grey: "Image.Image") -> list[str]:
    import zxingcpp  # noqa: PLC0415  # as above

    wanted = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
    found = zxingcpp.read_barcodes(grey, formats=wanted, text_mode=zxingcpp.TextMode.Plain)
    return list(dict.fromkeys(one.text[:CHARS_MAX] for one in found if one.text))[:CODES_MAX]


def main() -> None:
    pixels_max, memory_bytes, seconds = map(int, sys.argv[1:4])
    bound(memory_bytes, seconds)
    told = read(sys.stdin.buffer.read(), pixels_max)
    sys.stdout.buffer.write(json.dumps(told, ensure_ascii=False).encode())


if __name__ == "__main__":
    main()
