"""Pictures from strangers: codes are found as cameras see them; what is hostile costs little, and ends."""

import asyncio
import io
import os

import pytest
from PIL import Image, ImageOps

from node.host import pictures
from node.host.pictures import Pictures, PicturesBusy, PictureTooHard, PictureTooLarge, PictureUnreadable
from tests.support.pictures import bomb, code_of, photograph, saved, screenshot

TEXT = "7K2M-9QXT-4BHD-W3NP@school.jiashan.lln.internal"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


async def codes_in(content, reader=None):
    return await (reader or Pictures()).codes_in(reading(content))


def reading(content):
    file = io.BytesIO(content)

    async def read(size):
        return file.read(size)

    return read


async def until(happened):
    async with asyncio.timeout(20):
        while not (found := happened()):  # noqa: ASYNC110  # another process does it
            await asyncio.sleep(0.02)
    return found


@pytest.mark.parametrize(
    "how",
    [{}, {"turned": 100}, {"turned": 184}, {"blur": 3}, {"side": 200, "size": (4032, 3024)}, {"kind": "WEBP"}],
    ids=str,
)
async def test_a_code_on_photographed_paper_is_read(how):
    assert await codes_in(photograph(TEXT, **how)) == (TEXT,)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_screenshot_is_read_and_so_are_two_codes_each_once(kind):
    assert await codes_in(screenshot(TEXT, kind=kind)) == (TEXT,)
    assert set(await codes_in(screenshot(TEXT, "other", TEXT, kind=kind))) == {TEXT, "other"}


async def test_a_code_on_a_ground_that_is_transparent_is_read():
    code = code_of(TEXT)
    see_through = code.convert("RGBA")
    see_through.putalpha(ImageOps.invert(code.convert("L")))
    assert await codes_in(saved(see_through, "PNG")) == (TEXT,)


async def test_a_long_text_in_chinese_is_read_whole():
    text = "学习成果" * 150
    assert await codes_in(saved(code_of(text, 1_200), "PNG")) == (text,)


async def test_a_picture_without_a_code_has_none():
    assert await codes_in(saved(Image.effect_noise((900, 700), 60))) == ()


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"", PictureUnreadable),
        (b"x" * 5_000, PictureUnreadable),
        (SVG, PictureUnreadable),
        (b"<!doctype html><img src=x onerror=alert(1)>", PictureUnreadable),
        (photograph(TEXT)[:60_000], PictureUnreadable),
        (screenshot(TEXT)[:900], PictureUnreadable),
        (saved(code_of(TEXT), "GIF"), PictureUnreadable),
        (saved(code_of(TEXT), "TIFF"), PictureUnreadable),
        (bomb(50_000, 50_000), PictureTooLarge),
        (bomb(2_000_000_000, 2_000_000_000), PictureTooLarge),
        (bomb(6_000, 6_000), PictureUnreadable),
        (b"\xff\xd8\xff" + b"\0" * pictures.PICTURE_BYTES_MAX, PictureTooLarge),
    ],
    ids=range(12),
)
async def test_what_is_no_picture_or_too_large_is_refused(content, refused):
    with pytest.raises(refused):
        await codes_in(content)


async def test_the_largest_that_is_taken_stays_within_its_memory():
    for mode in ("RGBA", "L", "1", "P"):
        assert await codes_in(saved(Image.new(mode, (6_300, 6_300)), "PNG", compress_level=1)) == ()


async def test_reading_that_takes_too_long_is_ended_and_its_process_is_gone(tmp_path):
    slow, told = tmp_path / "slow.py", tmp_path / "pid"
    slow.write_text(
        f"import os, pathlib, time\npathlib.Path({str(told)!r}).write_text(str(os.getpid()))\ntime.sleep(600)\n"
    )
    with pytest.raises(PictureTooHard):
        await codes_in(b"x", Pictures(wait_s=2.0, program=slow))
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(1)",
        "print('hello')",
        "print('{\"texts\": 7}')",
        "import sys\nwhile True: sys.stdout.write('x' * 65_536)",
        'print(\'{"texts": ["a"], "run": "rm"}\')',
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 26, 1 << 26))\nx = bytes(1 << 28)",
    ],
)
async def test_a_process_that_has_been_taken_over_is_not_believed(tmp_path, program):
    path = tmp_path / "program.py"
    path.write_text(program)
    with pytest.raises(PictureTooHard):
        await codes_in(b"x" * 300_000, Pictures(wait_s=2.0, program=path))


async def test_what_reads_has_no_way_to_files_processes_or_our_environment(tmp_path, monkeypatch):
    """The bounds hold in the very process that reads: it is started with them, and then tries to get out."""
    monkeypatch.setenv("LLN_SECRET", "ours")
    child = pictures.PROGRAM.read_text("utf-8")
    tries = tmp_path / "tries.py"
    body = (
        "    kept = []\n"
        "    try:\n"
        f"        os.write(os.open({str(tmp_path / 'left')!r}, os.O_CREAT | os.O_WRONLY), b'x')\n"
        "    except OSError:\n"
        "        kept.append('file')\n"
        "    try:\n"
        "        bytes(1 << 30)\n"
        "    except MemoryError:\n"
        "        kept.append('memory')\n"
        "    kept += [] if 'LLN_SECRET' in os.environ else ['environment']\n"
        "    return {'texts': kept}\n"
    )
    changed = child.replace("def read(content", "def unused(content").replace(
        "def texts_of", f"def read(content, pixels_max):\n{body}\n\ndef texts_of"
    )
    tries.write_text(changed, "utf-8")
    assert await codes_in(b"", Pictures(program=tries)) == ("file", "memory", "environment")


async def test_more_than_a_few_at_once_are_told_to_come_back_and_two_are_read_at_a_time(tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text("import sys\nsys.stdin.buffer.read(1)\nprint('{}')\n")
    reader, going, two, held = Pictures(program=slow), 0, asyncio.Event(), asyncio.Event()

    async def waits(_size):
        nonlocal going
        going += 1
        if going == 2:
            two.set()
        await held.wait()
        return b"x"

    async with asyncio.TaskGroup() as together:
        tasks = [together.create_task(reader.codes_in(waits)) for _ in range(10)]
        await two.wait()
        with pytest.raises(PicturesBusy):
            await reader.codes_in(waits)
        assert going == 2
        held.set()
    assert [task.result() for task in tasks] == [()] * 10
    assert await reader.codes_in(reading(b"x")) == ()


async def test_whoever_goes_away_leaves_no_process_behind(tmp_path):
    slow, told = tmp_path / "slow.py", tmp_path / "pid"
    slow.write_text(
        f"import os, pathlib, time\npathlib.Path({str(told)!r}).write_text(str(os.getpid()))\ntime.sleep(600)\n"
    )
    task = asyncio.ensure_future(codes_in(b"x", Pictures(program=slow)))
    assert await until(lambda: told.exists() and told.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
