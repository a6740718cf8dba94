"""Photographs of QR codes, read by a process of their own for each: what it is given, and what is believed of it.

What lives here: starting that process, bounding it from outside, and ending it. What must not: unfolding a picture
(`picture_child.py`, which is never imported here), or what a code means (`node/portal/scanned.py`).
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from federation.errors import InvalidInput, Unavailable
from node.ports.machine import PICTURE_BYTES_MAX

PIXELS_MAX: Final = 40_000_000
MEMORY_BYTES_MAX: Final = 512 * 1024 * 1024
WAIT_S: Final = 10.0
AT_ONCE: Final = 2
WAITING_MAX: Final = 8
SAID_BYTES_MAX: Final = 65_536
CODES_MAX: Final = 8
PROGRAM: Final = Path(__file__).with_name("picture_child.py")


class PictureUnreadable(InvalidInput):
    code = "LLN-1148"
    zh = "这不是能读的图片，或者没有传完整。请用 JPEG、PNG 或 WebP 图片；也可以直接输入纸上的核验码。"
    en = "This is no picture that can be read, or only part of one. Send a JPEG, PNG or WebP, or type the code."


class PictureTooLarge(InvalidInput):
    code = "LLN-1149"
    zh = "图片太大：最大 8 MB、4,000 万像素。请只拍二维码那一块再传；也可以直接输入纸上的核验码。"
    en = "The picture is larger than 8 MB or 40 megapixels. Photograph just the QR code, or type the code."


class PictureTooHard(InvalidInput):
    code = "LLN-1100"
    zh = "这张图片读得太久，没有读完。请只拍二维码那一块再传；也可以直接输入纸上的核验码。"
    en = "Reading this picture took too much, and was given up. Photograph just the QR code, or type the code."


class PicturesBusy(Unavailable):
    code = "LLN-1670"
    zh = "现在上传图片的人太多。请过一分钟再试，或者直接输入纸上的核验码。"
    en = "Too many pictures are being read at this moment. Try again in a minute, or type the code."


class _Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    texts: tuple[str, ...] = ()
    refused: str = ""


class Pictures:
    """Two at once, a few more wait, and nothing is kept; `program`: what is started, one file of Python."""

    def __init__(self, *, wait_s: float = WAIT_S, program: Path = PROGRAM) -> None:
        self._wait_s = wait_s
        self._program = program
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asked = 0

    async def codes_in(self, read: Callable[[int], Awaitable[bytes]]) -> tuple[str, ...]:
        """What the QR codes of a picture say, each text once; none where none is found.

        `read`: gives that many bytes of it, and is asked when it is the picture's turn: who waits holds no memory.

        Raises PictureUnreadable, PictureTooLarge, PictureTooHard, PicturesBusy.
        """
        if self._asked >= AT_ONCE + WAITING_MAX:
            raise PicturesBusy
        self._asked += 1
        try:
            async with self._slots:
                content = await read(PICTURE_BYTES_MAX + 1)
                if len(content) > PICTURE_BYTES_MAX:
                    raise PictureTooLarge("picture", f"more than {PICTURE_BYTES_MAX} bytes")
                return _believed(await self._read_apart(content))
        finally:
            self._asked -= 1

    async def _read_apart(self, content: bytes) -> bytes:
        """What the process says, within WAIT_S; it is ended, whatever has happened, before anybody goes on.

        Its answer has to fit into what a pipe holds, which is read once it has ended: nobody waits for more.
        """
        bounds = (PIXELS_MAX, MEMORY_BYTES_MAX, max(1, int(self._wait_s)))
        answer, told = os.pipe()
        os.set_blocking(answer, False)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-B", str(self._program), *map(str, bounds)),
                stdin=PIPE,
                stdout=told,
                stderr=DEVNULL,
                env={},
            )
            try:
                async with asyncio.timeout(self._wait_s):
                    await _hand_over(process, content)
                    await process.wait()
            except TimeoutError as late:
                raise PictureTooHard("picture", f"more than {self._wait_s:.0f} s") from late
            finally:
                await _end(process)
            return _said(answer)
        finally:
            os.close(answer)
            os.close(told)


async def _hand_over(process: Process, content: bytes) -> None:
    assert process.stdin is not None  # noqa: S101  # asked for above
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have its answer before the end
        process.stdin.write(content)
        await process.stdin.drain()
        process.stdin.close()


async def _end(process: Process) -> None:
    assert process.stdin is not None  # noqa: S101  # asked for above
    if process.returncode is None:
        process.kill()
        if not process.stdin.transport.is_closing():
            process.stdin.transport.abort()
    await process.wait()


def _said(answer: int) -> bytes:
    try:
        return os.read(answer, SAID_BYTES_MAX)
    except BlockingIOError:
        return b""


def _believed(said: bytes) -> tuple[str, ...]:
    """Bounded and parsed like anything from outside: by then, the process may be whoever the picture wants it to be."""
    try:
        told = msgspec.json.decode(said, type=_Told)
    except msgspec.MsgspecError as silent:
        raise PictureTooHard("picture", "reading ended without an answer") from silent
    if told.refused:
        raise PictureTooLarge("picture") if told.refused == "large" else PictureUnreadable("picture")
    return tuple(dict.fromkeys(told.texts))[:CODES_MAX]
