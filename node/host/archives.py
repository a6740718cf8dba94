"""One file of many: a tar whose first member says what the others must be, sealed by a passphrase where one is given.

What lives here: writing, reading and checking such a file, whatever it holds. What must not: which files of a node
belong in it (`node/backups.py`).

Unsealed it is an ordinary POSIX tar: `manifest.json`, `manifest.sig` (Ed25519 by the node key), and the members.
Sealed, the same tar follows one line of JSON in chunks of 64 KiB, each encrypted with ChaCha20-Poly1305 (RFC 8439)
under a key that scrypt (RFC 7914) makes of the passphrase. The nonce counts the chunks and marks the last, so that none
can be cut off, left out or moved, and the line of JSON is part of what each is authenticated with.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from federation.errors import BrokenHome, InvalidInput, NotFound
from federation.framing import pae
from federation.keys import NodeKey, Signer

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
MANIFEST_BYTES_MAX: Final = 4 * 1024 * 1024
CHUNK_BYTES: Final = 65_536
SALT_BYTES: Final = 16
SCRYPT_N: Final = 2**17
SCRYPT_N_MAX: Final = 2**20
_SEALED_LINE_MAX: Final = 512
_SEALED_START: Final = b'{"lln_sealed_backup":'
_TAG_BYTES: Final = 16
_PURPOSE: Final = "backup manifest"


class NoSuchBackup(NotFound):
    code = "LLN-1271"
    zh = "找不到这个备份文件，或没有权限读取。请核对路径。"
    en = "The backup file is not there, or may not be read. Check the path."


class NotABackup(InvalidInput):
    code = "LLN-1175"
    zh = "这不是 lln backup 写成的文件。"
    en = "This file was not written by lln backup."


class PassphraseMissing(InvalidInput):
    code = "LLN-1176"
    zh = "这个备份加了口令。请加 --passphrase 输入，或用 --passphrase-file 指定。"
    en = "This backup is sealed with a passphrase. Give it with --passphrase, or in a file with --passphrase-file."


class PassphraseWrong(InvalidInput):
    code = "LLN-1177"
    zh = "口令不对，或备份文件的开头已损坏。没有写入任何内容。"
    en = "The passphrase is wrong, or the beginning of the backup is damaged. Nothing was written."


class BackupDamaged(BrokenHome):
    code = "LLN-1571"
    zh = "备份文件不完整或被改动，没有恢复任何内容。请换一个备份。"
    en = "The backup is incomplete or was altered; nothing of it was restored. Use another one."


class BackupTooNew(BrokenHome):
    code = "LLN-1572"
    zh = "备份由更新版本的程序写成。请先升级程序。"
    en = "The backup was written by a newer version of the program. Upgrade the program first."


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an archive; `sha256` in hex."""

    path: str
    bytes: int
    sha256: str
    is_private: bool


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """The line before a sealed archive."""

    lln_sealed_backup: int = FORMAT
    n: int = SCRYPT_N
    salt: bytes

    def line(self) -> bytes:
        return msgspec.json.encode(self) + b"\n"

    def cipher(self, passphrase: str) -> ChaCha20Poly1305:
        kdf = Scrypt(salt=self.salt, length=32, n=self.n, r=8, p=1)
        return ChaCha20Poly1305(kdf.derive(passphrase.encode()))


def member_of(path: str, source: Path, *, is_private: bool) -> Member:
    """What an archive will say of a file; raises OSError."""
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Member(path=path, bytes=file.tell(), sha256=digest.hexdigest(), is_private=is_private)


# --- writing ---------------------------------------------------------------------------------------------------------


def write_archive(
    target: IO[bytes],
    manifest: bytes,
    signer: Signer,
    sources: Sequence[tuple[Member, Path]],
    *,
    sealed: tuple[Sealed, str] | None,
) -> None:
    """Everything, in order, to an open file; `sealed` with the passphrase that seals it. Raises OSError."""
    stream: IO[bytes] = target
    sealing = None
    if sealed is not None:
        stream = sealing = _Sealing(target, *sealed)  # type: ignore[assignment]  # tarfile only writes to it
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK_BYTES) as tar:
        _add(tar, MANIFEST, len(manifest), io.BytesIO(manifest))
        signature = signer.sign(pae(_PURPOSE, manifest))
        _add(tar, SIGNATURE, len(signature), io.BytesIO(signature))
        for member, source in sources:
            with source.open("rb") as file:
                _add(tar, member.path, member.bytes, file)
    if sealing is not None:
        sealing.finish()


def _add(tar: tarfile.TarFile, path: str, size: int, file: IO[bytes]) -> None:
    header = tarfile.TarInfo(path)
    header.size, header.mode = size, 0o600
    tar.addfile(header, file)


class _Sealing:
    def __init__(self, target: IO[bytes], sealed: Sealed, passphrase: str) -> None:
        self._target = target
        self._line = sealed.line()
        self._cipher = sealed.cipher(passphrase)
        self._waiting = bytearray()
        self._written = 0
        target.write(self._line)

    def write(self, content: bytes) -> int:
        self._waiting += content
        while len(self._waiting) > CHUNK_BYTES:  # the last is written by `finish`, however full
            self._put(bytes(self._waiting[:CHUNK_BYTES]), is_last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(content)

    def finish(self) -> None:
        self._put(bytes(self._waiting), is_last=True)

    def _put(self, chunk: bytes, *, is_last: bool) -> None:
        nonce = _nonce(self._written, is_last=is_last)
        self._target.write(self._cipher.encrypt(nonce, chunk, self._line))
        self._written += 1


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


# --- reading ---------------------------------------------------------------------------------------------------------


class Archive:
    """An archive that is being read from its beginning to its end; made by `open_archive`."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._manifest = self._small(MANIFEST)
        self._signature = self._small(SIGNATURE)

    @property
    def unverified_manifest(self) -> bytes:
        return self._manifest

    def verify(self, key: NodeKey) -> bytes:
        """The manifest, if `key` has signed it; raises BackupDamaged."""
        if not key.verify(pae(_PURPOSE, self._manifest), self._signature):
            raise BackupDamaged(MANIFEST, "not as the node signed it")
        return self._manifest

    def extract(self, members: Sequence[Member], places: Mapping[str, Path]) -> None:
        """Write every member to its place, each exactly as the manifest says; raises BackupDamaged and OSError."""
        for member in members:
            found = self._next(member.path)
            if found.size != member.bytes:
                raise BackupDamaged(member.path, f"{found.size} bytes, the manifest says {member.bytes}")
            self._copy(found, member, places[member.path])
        with _damage():
            more = self._tar.next()
        if more is not None:
            raise BackupDamaged(more.name[:100], "not in the manifest")

    def _copy(self, found: tarfile.TarInfo, member: Member, place: Path) -> None:
        digest, content = hashlib.sha256(), self._tar.extractfile(found)
        assert content is not None, found  # noqa: S101  # `_next` lets only files pass
        with place.open("wb") as file:
            while chunk := _read(content, CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != member.sha256:
            raise BackupDamaged(member.path, "its hash is not the one in the manifest")

    def _small(self, path: str) -> bytes:
        found = self._next(path)
        content = self._tar.extractfile(found)
        assert content is not None, found  # noqa: S101  # as above
        if found.size > MANIFEST_BYTES_MAX:
            raise BackupDamaged(path, f"{found.size} bytes")
        return _read(content, MANIFEST_BYTES_MAX)

    def _next(self, path: str) -> tarfile.TarInfo:
        with _damage():
            found = self._tar.next()
        if found is None or found.name != path or not found.isfile():
            raise BackupDamaged(path, "is not where it should be")
        return found


@contextmanager
def open_archive(path: Path, ask_passphrase: Callable[[], str] | None) -> Iterator[Archive]:
    """An archive, opened as far as its manifest. `ask_passphrase` is called where it is sealed.

    Raises NoSuchBackup, NotABackup, BackupTooNew, BackupDamaged, PassphraseMissing and PassphraseWrong.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise NoSuchBackup(str(path), error.strerror or str(error)) from error
    with file:
        stream: IO[bytes] = file
        line = file.readline(_SEALED_LINE_MAX)
        if line.startswith(_SEALED_START):
            if ask_passphrase is None:
                raise PassphraseMissing(str(path))
            stream = _Opening(file, line, ask_passphrase(), path)  # type: ignore[assignment]  # tarfile only reads it
        else:
            file.seek(0)
        try:
            tar = tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES)  # noqa: SIM115  # entered just below
        except (tarfile.TarError, EOFError) as error:
            raise NotABackup(str(path), str(error)[:100]) from error
        with tar:
            yield Archive(tar)


class _Opening:
    def __init__(self, file: IO[bytes], line: bytes, passphrase: str, path: Path) -> None:
        try:
            sealed = msgspec.json.decode(line, type=Sealed)
        except msgspec.MsgspecError as error:
            raise BackupDamaged(str(path), str(error)[:100]) from error
        if sealed.lln_sealed_backup > FORMAT:
            raise BackupTooNew(str(path), f"format {sealed.lln_sealed_backup}")
        if not 2 <= sealed.n <= SCRYPT_N_MAX or sealed.n & (sealed.n - 1):
            raise BackupDamaged(str(path), f"scrypt with n = {sealed.n}")
        self._file = file
        self._line = line
        self._path = path
        self._cipher = sealed.cipher(passphrase)
        self._number = 0
        self._ahead = file.read(CHUNK_BYTES + _TAG_BYTES)
        self._clear = b""

    def read(self, size: int) -> bytes:
        while len(self._clear) < size and self._ahead:
            chunk, self._ahead = self._ahead, self._file.read(CHUNK_BYTES + _TAG_BYTES)
            nonce = _nonce(self._number, is_last=not self._ahead)
            try:
                self._clear += self._cipher.decrypt(nonce, chunk, self._line)
            except InvalidTag as error:
                wrong = PassphraseWrong if self._number == 0 else BackupDamaged
                raise wrong(str(self._path), f"chunk {self._number}") from error
            self._number += 1
        taken, self._clear = self._clear[:size], self._clear[size:]
        return taken


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise BackupDamaged("backup", str(error)[:100]) from error


def _read(content: IO[bytes], size: int) -> bytes:
    with _damage():
        return content.read(size)
