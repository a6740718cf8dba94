"""Where a node keeps what it has: the layout of its home directory, and writing a file so that a crash leaves no half.

What lives here: paths, permissions and atomic writes. What must not: what is in the files (`key_files.py`,
`config/settings.py`, `node/storage`).

    config.toml           what the operator may set
    keys/ca.key           P-256, signs certificates and nothing else
    keys/node.key         Ed25519, signs everything else
    keys/sealing.key      X25519, opens what is sealed to this node
    trust/root.pem        the pinned root of the network
    trust/chain.pem       this node's certificate and those above it, without the root (empty at the root itself)
    trust/chain-before.pem  the chain before the last renewal
    trust/continues.json  own logs that are still to be fetched from the parent, after a machine was replaced
    trust/former.json     the place before a move, so that the authority there can be told again
    trust/begun           the node has had a database: another, empty one would begin its logs anew
    trust/restored.json   the home was made from a backup, and has not asked yet what was said since
    data/node.db          the database
    data/index/           the search index, which may be deleted at any time
    data/last-backup.json when the last backup was made
    files/                what people offered, each under its SHA-256; made when the first comes
    restoring/            files of a backup that are not in place yet
    run/                  what lives only as long as the process
"""

import os
import stat
from pathlib import Path
from typing import Final

import msgspec

from federation.errors import BrokenHome

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
SHOWN_FILE: Final = 0o644
FILE_BYTES_MAX: Final = 1_048_576

_HAS_MODES: Final = os.name == "posix"


class HomeUnwritable(BrokenHome):
    code = "LLN-1550"
    zh = "节点目录无法读写。请检查目录的所有者、权限和磁盘空间。"
    en = "The home directory cannot be read or written. Check its owner, its permissions and the free space."


class Home:
    """One node's home directory; nothing is touched until it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.keys = path / "keys"
        self.ca_key = self.keys / "ca.key"
        self.node_key = self.keys / "node.key"
        self.sealing_key = self.keys / "sealing.key"
        self.trust = path / "trust"
        self.root = self.trust / "root.pem"
        self.chain = self.trust / "chain.pem"
        self.chain_before = self.trust / "chain-before.pem"
        self.continues = self.trust / "continues.json"
        self.former = self.trust / "former.json"
        self.begun = self.trust / "begun"
        self.restored = self.trust / "restored.json"
        self.data = path / "data"
        self.database = self.data / "node.db"
        self.index = self.data / "index"
        self.last_backup = self.data / "last-backup.json"
        self.files = path / "files"
        self.restoring = path / "restoring"
        self.run = path / "run"

    @property
    def is_enrolled(self) -> bool:
        """Whether `lln init` or `lln join` has come to its end here, but for the configuration."""
        return self.root.is_file() and self.chain.is_file()

    def make_folders(self) -> None:
        """Make what is missing of the layout, readable by the owner alone; raises HomeUnwritable."""
        try:
            for folder in (self.path, self.keys, self.trust, self.data, self.index, self.run):
                folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            _set_mode(self.keys, PRIVATE_FOLDER)
        except OSError as error:
            raise HomeUnwritable(str(self.path), error.strerror or str(error)) from error

    def write_config(self, text: str) -> bool:
        """Write a first `config.toml`; leaves one that is there alone and then returns False; raises HomeUnwritable."""
        if self.config.exists():
            return False
        write_whole(self.config, text.encode(), mode=SHOWN_FILE)
        return True


def read_bounded(path: Path) -> bytes | None:
    """The bytes of a small file, None where there is none; raises HomeUnwritable."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise HomeUnwritable(str(path), f"larger than {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HomeUnwritable(str(path), error.strerror or str(error)) from error


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Replace `path` by `content`, durably and all at once; raises HomeUnwritable.

    The name points to the old bytes or to the new ones: what is written first goes by another name, and a crash before
    the rename leaves at most that, which the next write replaces.
    """
    written = path.with_name(f".{path.name}.new")
    try:
        written.unlink(missing_ok=True)
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _set_mode(written, mode)  # whatever the umask made of it
        written.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise HomeUnwritable(str(path), error.strerror or str(error)) from error


class BackupNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a home remembers of its last backup."""

    at_ms: int
    path: str
    bytes: int


def last_backup_ms(home: Home) -> int | None:
    """When the last backup was made, None where none is known of."""
    try:
        noted = read_bounded(home.last_backup)
        return msgspec.json.decode(noted, type=BackupNote).at_ms if noted else None
    except (HomeUnwritable, msgspec.MsgspecError):  # it only reminds people, and is written anew by the next backup
        return None


def is_exposed(path: Path) -> bool:
    """Whether somebody other than its owner may read or write the file; never so where there are no modes."""
    try:
        return _HAS_MODES and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HomeUnwritable(str(path), error.strerror or str(error)) from error


def _set_mode(path: Path, mode: int) -> None:
    if _HAS_MODES:
        path.chmod(mode)


def sync_folder(folder: Path) -> None:
    """Make a rename durable, where folders can be synced."""
    if not _HAS_MODES:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
