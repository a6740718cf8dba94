"""Values that must not be anywhere, looked for in every form that bytes take; and a tap on what nodes send each other.

What lives here: the forms, the tap, and reading a home's files and tables. What must not: which values, or where they
may stand.
"""

import base64
import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from node.host.identity import OwnIdentity
from node.rpc import transports

DESK = "/lln.v1.Desk/Ask"


def forms(value: str) -> dict[str, bytes]:
    """How a value may stand in bytes, by the name of the form."""
    plain = value.encode()
    first = {
        "utf-8": plain,
        "utf-16-le": value.encode("utf-16-le"),
        "utf-16-be": value.encode("utf-16-be"),
        "gb18030": value.encode("gb18030"),
        "escaped": json.dumps(value).strip('"').encode(),
        "escaped upper": json.dumps(value).strip('"').upper().replace("\\U", "\\u").encode(),
        "reversed": value[::-1].encode(),
        "sha256": hashlib.sha256(plain).digest(),
        "sha1": hashlib.sha1(plain, usedforsecurity=False).digest(),
        "md5": hashlib.md5(plain, usedforsecurity=False).digest(),
    }
    found = dict(first)
    for name, data in first.items():
        found[f"{name} in hex"] = data.hex().encode()
        found[f"{name} in HEX"] = data.hex().upper().encode()
        for shift, text in enumerate(_base64_forms(data)):
            found[f"{name} in base64 +{shift}"] = text
            found[f"{name} in base64url +{shift}"] = text.translate(bytes.maketrans(b"+/", b"-_"))
    for outer, text in enumerate(_base64_forms(plain)):
        for shift, twice in enumerate(_base64_forms(text)):
            found[f"utf-8 in base64 +{outer} in base64 +{shift}"] = twice
    return found


def _base64_forms(data: bytes) -> Iterator[bytes]:
    """The characters that surely stand in the base64 of anything that holds `data`, wherever in it that begins."""
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + data)
        start = (0, 2, 3)[shift]
        end = (len(data) + shift) * 8 // 6
        yield encoded[start:end]


class Search:
    """Looks for values in bytes; told apart by value and form."""

    def __init__(self, values: Iterable[str]) -> None:
        self._needles = {(value, name): data for value in values for name, data in forms(value).items()}

    def found_in(self, data: bytes) -> list[tuple[str, str]]:
        return [which for which, needle in self._needles.items() if needle in data]


class Tap:
    """Everything that nodes of this process send to others over gRPC, before TLS, and before it is sealed for relays.

    `desk`: what a node's own people ask it, on its own machine; a tap that hears nothing there hears nothing at all.
    """

    def __init__(self, monkeypatch) -> None:
        self.wire: dict[str, list[bytes]] = defaultdict(list)
        self.desk: list[bytes] = []
        self._tap_calls(monkeypatch)
        self._tap_streams(monkeypatch)
        self._tap_seals(monkeypatch)

    def heard(self) -> bytes:
        return b"\n".join(data for each in self.wire.values() for data in each)

    def _keep(self, method: str, *parts: bytes) -> None:
        kept = self.desk if method == DESK else self.wire[method]
        kept.extend(parts)

    def _tap_calls(self, monkeypatch) -> None:
        unary = transports.Channel.unary

        async def tapped(channel, method, payload, call, timeout_s):
            self._keep(method, payload, call.header_bytes, call.signature)
            reply = await unary(channel, method, payload, call, timeout_s)
            self._keep(method, reply.body, reply.sealed.header_bytes, reply.sealed.signature, reply.told.encode())
            return reply

        monkeypatch.setattr(transports.Channel, "unary", tapped)

    def _tap_streams(self, monkeypatch) -> None:
        stream, exchange = transports.Channel.stream, transports.Channel.exchange
        messages = transports.Stream.messages

        def streaming(channel, method, payload, call):
            self._keep(method, payload, call.header_bytes)
            return stream(channel, method, payload, call)

        def exchanging(channel, method, call, said):
            async def saying():
                async for message in said:
                    self._keep(method, message)
                    yield message

            self._keep(method, call.header_bytes)
            return exchange(channel, method, call, saying())

        async def reading(opened, silence_s):
            async for message in messages(opened, silence_s):
                self._keep("stream", message)
                yield message

        monkeypatch.setattr(transports.Channel, "stream", streaming)
        monkeypatch.setattr(transports.Channel, "exchange", exchanging)
        monkeypatch.setattr(transports.Stream, "messages", reading)

    def _tap_seals(self, monkeypatch) -> None:
        seal = OwnIdentity.seal

        def sealing(identity, data, *more, **named):
            self._keep("under seal", data)
            return seal(identity, data, *more, **named)

        monkeypatch.setattr(OwnIdentity, "seal", sealing)


def files_of(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a home as bytes: database, write-ahead log, index, settings."""
    for path in sorted(home.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(home)), path.read_bytes()


def rows_of(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every row of a home's database, whole: in the file a value may be split between two pages."""
    with sqlite3.connect(f"file:{home / 'data' / 'node.db'}?mode=ro", uri=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608  # names from the schema itself
                cells = [cell if isinstance(cell, bytes) else str(cell).encode() for cell in row]
                kind = f" {row[0]}" if table == "shelf" else ""
                yield f"{table}{kind}", b"\n".join(cells)
