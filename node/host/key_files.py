"""A node's keys, its pinned root and its chain, as files of its home directory.

What lives here: making, reading and judging these files. What must not: what keys are used for (`identity.py`), or
where files lie (`homes.py`).

All three keys are PKCS #8 in PEM (RFC 5208; RFC 8410 for Ed25519 and X25519), so that other tools can read them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from federation import issuance
from federation.certificate_profile import from_pem, read_authority, to_pem
from federation.certificates import verify_node_chain
from federation.directory import LogPosition
from federation.errors import BrokenHome, Conflict, LlnError
from federation.keys import KeyInMemory
from federation.naming import NodeName
from node.host.homes import PRIVATE_FILE, SHOWN_FILE, Home, is_exposed, read_bounded, write_whole
from node.host.identity import Chain, NotOurCertificate, OwnIdentity, OwnKeys
from node.ports import Clock, Randomness


class KeyMissing(BrokenHome):
    code = "LLN-1551"
    zh = "密钥文件缺失。请从备份恢复 keys 目录；没有备份时，请上级撤销本节点并重新邀请。"
    en = "A key file is missing. Restore keys/ from a backup; without one, have the authority revoke and invite anew."


class KeyExposed(BrokenHome):
    code = "LLN-1552"
    zh = "密钥文件可被其他用户读取，已拒绝使用。请按提示运行 chmod。"
    en = "A key file can be read by others, so it is not used. Run the chmod that is named here."


class KeyCorrupt(BrokenHome):
    code = "LLN-1553"
    zh = "密钥文件损坏，或不是所需类型的密钥。请从备份恢复。"
    en = "A key file is damaged, or holds a key of another kind. Restore it from a backup."


class TrustMissing(BrokenHome):
    code = "LLN-1554"
    zh = "本目录尚未入网。请先运行 lln init 或 lln join。"
    en = "This home has not joined a network yet. Run lln init or lln join first."


class TrustCorrupt(BrokenHome):
    code = "LLN-1555"
    zh = "trust 目录中的证书损坏，或与本节点的密钥不符。请从备份恢复。"
    en = "The certificates in trust/ are damaged, or not for this node's keys. Restore them from a backup."


class RestoreUnfinished(BrokenHome):
    code = "LLN-1573"
    zh = "上一次 lln restore 没有完成。请用同一个备份文件再运行一次。"
    en = "The last lln restore did not come to its end. Run it again with the same file."


class HomeOccupied(Conflict):
    code = "LLN-1352"
    zh = "该目录已属于另一个节点或网络。请换一个目录（--home）。"
    en = "This home already belongs to another node or network. Use another one (--home)."


class RestoreMark(msgspec.Struct, frozen=True, kw_only=True):
    """A home made from a backup; `is_complete` once every file of it is in place."""

    backed_up_at_ms: int
    is_complete: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """What a home believes in and what it is: the pinned root (DER), and its chain (empty at the root itself)."""

    root_certificate: bytes
    chain: Chain

    @property
    def own_certificate(self) -> bytes:
        return self.chain[0] if self.chain else self.root_certificate


def open_identity(
    home: Home,
    *,
    clock: Clock,
    randomness: Randomness,
    certificate_life_ms: int = issuance.NODE_LIFE_MS,
) -> OwnIdentity:
    """The node that lives in `home`; an expired certificate is no hindrance, since it may have to be renewed.

    Raises KeyMissing, KeyExposed, KeyCorrupt, TrustMissing, TrustCorrupt or HomeUnwritable.
    """
    trust = load_trust(home)
    if trust is None:
        raise TrustMissing(str(home.path), "no trust/root.pem and trust/chain.pem")
    try:
        return OwnIdentity(
            keys=load_keys(home),
            root_certificate=trust.root_certificate,
            chain=trust.chain,
            clock=clock,
            randomness=randomness,
            keep=lambda chain: keep_renewed_chain(home, chain),
            certificate_life_ms=certificate_life_ms,
        )
    except NotOurCertificate as error:
        raise TrustCorrupt(str(home.chain), "not for the keys in keys/") from error


def make_missing_keys(home: Home) -> OwnKeys:
    """The keys of `home`, made where there are none; a crash in between leaves some, and the next call the rest.

    Keys are never made beside a certificate, for which they could not be the right ones. Raises as `load_keys`.
    """
    home.make_folders()
    if not home.is_enrolled:
        _make(home.ca_key, lambda: ec.generate_private_key(ec.SECP256R1()))
        _make(home.node_key, Ed25519PrivateKey.generate)
        _make(home.sealing_key, X25519PrivateKey.generate)
    return load_keys(home)


def load_keys(home: Home) -> OwnKeys:
    """Raises KeyMissing, KeyExposed, KeyCorrupt or HomeUnwritable, each with its remedy."""
    return OwnKeys(ca_key=_load_ca_key(home), node_key=_load_node_key(home), sealing=_load_sealing_key(home))


def load_trust(home: Home) -> Trust | None:
    """What is in trust/, or None where nothing is yet; raises TrustCorrupt.

    The chain is verified as of the end of the node's own certificate, which no certificate above it may precede:
    whether it has expired is for others to say, since an expired node must start in order to renew.
    """
    root_pem, chain_pem = read_bounded(home.root), read_bounded(home.chain)
    if root_pem is None or chain_pem is None:
        return None
    try:
        trust = Trust(
            root_certificate=b"".join(from_pem(root_pem)), chain=from_pem(chain_pem) if chain_pem.strip() else ()
        )
        ends_ms = read_authority(trust.own_certificate).claims.not_after_ms
        verify_node_chain(trust.chain, trust.root_certificate, ends_ms)
    except LlnError as error:
        raise TrustCorrupt(str(home.trust), str(error)) from error
    return trust


def keep_trust(home: Home, trust: Trust) -> None:
    """Keep the chain, then the pinned root, with which the home is enrolled. Raises HomeOccupied.

    A crash in between leaves a chain that nothing looks at, and that the next join or init writes anew.
    """
    pinned = to_pem((trust.root_certificate,))
    held = read_bounded(home.root)
    if held is not None and held != pinned:
        raise HomeOccupied(str(home.root), "the pinned root is of another network")
    home.make_folders()
    write_whole(home.chain, to_pem(trust.chain), mode=SHOWN_FILE)
    write_whole(home.root, pinned, mode=SHOWN_FILE)


def keep_renewed_chain(home: Home, chain: Chain) -> None:
    """Put a renewed chain in place of the present one, which is kept beside it."""
    held = read_bounded(home.chain)
    if held is not None:
        write_whole(home.chain_before, held, mode=SHOWN_FILE)
    write_whole(home.chain, to_pem(chain), mode=SHOWN_FILE)


class FileHome:
    """A home as the use cases of joining and founding need it."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def root_in_force(self, name: NodeName) -> bytes | None:
        trust = load_trust(self._home)
        if trust is None:
            return None
        held = load_keys(self._home).check_own(trust.own_certificate)
        if trust.chain or held != name:
            raise HomeOccupied(str(self._home.path), f"it is {held}")
        return trust.root_certificate

    def issue_root(self, name: NodeName, serial: bytes, now_ms: int) -> bytes:
        return make_missing_keys(self._home).issue_root(name, serial, now_ms)

    def check_free_for(self, name: NodeName, root_certificate: bytes) -> None:
        trust = load_trust(self._home)
        if trust is None:
            return
        held = read_authority(trust.own_certificate).claims.name
        if trust.root_certificate != root_certificate or held != name:
            raise HomeOccupied(str(self._home.path), f"it is {held}")

    def make_keys(self) -> OwnKeys:
        return make_missing_keys(self._home)

    def must_continue(self, positions: tuple[LogPosition, ...]) -> None:
        if positions:
            self._home.make_folders()
            write_whole(self._home.continues, msgspec.json.encode(positions), mode=SHOWN_FILE)

    def to_continue(self) -> tuple[LogPosition, ...]:
        noted = read_bounded(self._home.continues)
        try:
            return msgspec.json.decode(noted, type=tuple[LogPosition, ...]) if noted else ()
        except msgspec.MsgspecError as error:
            raise TrustCorrupt(str(self._home.continues), str(error)[:200]) from error

    def is_restored(self) -> bool:
        """Raises RestoreUnfinished."""
        mark = restore_mark(self._home)
        if mark is not None and not mark.is_complete:
            raise RestoreUnfinished(str(self._home.path), "some files of the backup are not in place")
        return mark is not None

    def continued(self) -> None:
        self._home.continues.unlink(missing_ok=True)

    def recalled(self) -> None:
        self._home.restored.unlink(missing_ok=True)

    def keep(self, root_certificate: bytes, chain: Chain) -> None:
        keep_trust(self._home, Trust(root_certificate=root_certificate, chain=chain))


def restore_mark(home: Home) -> RestoreMark | None:
    """What a restore has left to be done, None where there was none; raises TrustCorrupt."""
    noted = read_bounded(home.restored)
    try:
        return msgspec.json.decode(noted, type=RestoreMark) if noted is not None else None
    except msgspec.MsgspecError as error:
        raise TrustCorrupt(str(home.restored), str(error)[:200]) from error


def keep_restore_mark(home: Home, mark: RestoreMark) -> None:
    write_whole(home.restored, msgspec.json.encode(mark), mode=SHOWN_FILE)


def key_faults(home: Home) -> list[BrokenHome]:
    """Everything wrong with the keys and certificates of a home, for `lln check`; each says its remedy."""
    faults: list[BrokenHome] = []

    def note(look: Callable[[], object]) -> None:
        try:
            look()
        except BrokenHome as fault:
            faults.append(fault)

    note(lambda: _load_ca_key(home))
    note(lambda: _load_node_key(home))
    note(lambda: _load_sealing_key(home))
    if not faults:
        note(lambda: _check_match(home))
    return faults


def _check_match(home: Home) -> None:
    trust = load_trust(home)
    if trust is None:
        raise TrustMissing(str(home.path), "no trust/root.pem and trust/chain.pem")
    try:
        load_keys(home).check_own(trust.own_certificate)
    except NotOurCertificate as error:
        raise TrustCorrupt(str(home.chain), "not for the keys in keys/") from error


def _make(path: Path, generate: Callable[[], PrivateKeyTypes]) -> None:
    if path.exists():
        return
    pem = generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_whole(path, pem, mode=PRIVATE_FILE)


def _load_ca_key(home: Home) -> ec.EllipticCurvePrivateKey:
    key = _load(home.ca_key)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyCorrupt(str(home.ca_key), f"{type(key).__name__}, expected a P-256 key")
    return key


def _load_node_key(home: Home) -> KeyInMemory:
    key = _load(home.node_key)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyCorrupt(str(home.node_key), f"{type(key).__name__}, expected an Ed25519 key")
    return KeyInMemory(key.private_bytes_raw())


def _load_sealing_key(home: Home) -> X25519PrivateKey:
    key = _load(home.sealing_key)
    if not isinstance(key, X25519PrivateKey):
        raise KeyCorrupt(str(home.sealing_key), f"{type(key).__name__}, expected an X25519 key")
    return key


def _load(path: Path) -> PrivateKeyTypes:
    if is_exposed(path):
        raise KeyExposed(str(path), f"readable by others; run: chmod 600 '{path}'")
    pem = read_bounded(path)
    if pem is None:
        raise KeyMissing(str(path), "no such file")
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyCorrupt(str(path), "not a private key in PEM without a password") from error
