"""`lln check`: from the configuration to the parent's logs, one finding after the other, whether or not the node runs.

What lives here: the steps, in their order; what cannot be looked at because an earlier step failed is left out. What
must not: mending anything.
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from config.settings import Portal, Settings, public_address, read_settings
from federation.certificate_profile import read_authority
from federation.certificates import ChainVerifier
from federation.errors import LlnError
from federation.naming import parent_of
from node.desk import Finding
from node.host.clock import SystemClock, SystemRandomness
from node.host.homes import Home, last_backup_ms
from node.host.identity import OwnIdentity
from node.host.kept_files import sizes_in
from node.host.key_files import key_faults, open_identity
from node.rpc.peers import GrpcPeers
from node.rpc.reaching import reach
from node.storage.errors import DatabaseMissing
from node.storage.opening import open_to_look
from node.usecases.filing import file_findings, wanted_files
from node.usecases.inspecting import backup_finding

DAY_MS: Final = 86_400_000
FREE_BYTES_LEAST: Final = 200 * 1024 * 1024
TIMEOUT_S: Final = 5.0
CLOCK_APART_MS: Final = 30_000


async def check_home(home_path: Path) -> AsyncIterator[Finding]:
    """Every step that can be taken; ends early only where nothing further could be believed."""
    home, clock = Home(home_path), SystemClock()
    try:
        settings = read_settings(home.config)
    except LlnError as error:
        yield _from_error("config", error, "lln init / lln join")
        return
    yield _good("config", f"配置可读：{home.config}", f"The configuration is readable: {home.config}")
    yield _free_space(home_path)
    try:
        identity = open_identity(home, clock=clock, randomness=SystemRandomness())
    except LlnError as error:
        yield _from_error("keys", error, "lln join LLN1-…")
        return
    for fault in key_faults(home):
        yield _from_error("keys", fault, f'chmod -R go-rwx "{home.keys}"')
    async for finding in _database(home, identity, settings.storage.postgres, settings.portal):
        yield finding
    if settings.storage.postgres is None:
        yield backup_finding(last_backup_ms(home), clock.now_ms())
    yield _certificate(identity, clock.now_ms())
    async for finding in _parent(settings, identity, clock):
        yield finding


async def _database(home: Home, identity: OwnIdentity, postgres: str | None, portal: Portal) -> AsyncIterator[Finding]:
    if postgres is None and not home.database.exists():
        yield _no_database(home)
        return
    try:
        async with open_to_look(home.database, own_node=identity.name, postgres=postgres) as store:
            faults = await store.faults()
            logs = await store.read(lambda tx: tuple(tx.logs.all()))
            wanted = await store.read(wanted_files)
    except LlnError as error:
        yield _from_error("database", error, f'ls -l "{home.data}"')
        return
    if faults:
        yield Finding(
            step="database",
            severity="fault",
            zh=f"数据库损坏：{faults[0]}",
            en=f"The database is damaged: {faults[0]}",
            remedy=f'cp -a "{home.data}" "{home.data}.damaged"',
        )
    else:
        entries = sum(log.head.size for log in logs)
        yield _good(
            "database",
            f"数据库完好，{len(logs)} 份日志共 {entries} 条",
            f"The database is sound: {len(logs)} logs, {entries} entries",
        )
    for finding in file_findings(wanted, sizes_in(home.files), has_address=bool(public_address(portal))):
        yield finding


def _no_database(home: Home) -> Finding:
    if home.begun.exists():
        return _from_error("database", DatabaseMissing(str(home.database), "no such file"), "lln restore FILE")
    return Finding(
        step="database",
        severity="notice",
        zh="节点还没有启动过,数据库会在第一次启动时建立。",
        en="The node was never started; its database is made at the first start.",
        remedy="lln serve",
    )


def _certificate(identity: OwnIdentity, now_ms: int) -> Finding:
    left_days = (read_authority(identity.certificate).claims.not_after_ms - now_ms) // DAY_MS
    if left_days > 0:
        return _good("certificate", f"证书还有 {left_days} 天到期", f"The certificate lasts {left_days} more days")
    return Finding(
        step="certificate",
        severity="fault",
        zh="节点证书已过期;未被撤销的节点 180 天内仍可续期",
        en="The node certificate has expired; unless revoked it can renew for 180 days",
        remedy="lln serve",
    )


async def _parent(settings: Settings, identity: OwnIdentity, clock: SystemClock) -> AsyncIterator[Finding]:
    parent, endpoint = parent_of(identity.name, identity.root), settings.parent.endpoint
    if parent is None:
        yield _good("parent", "这是网络的根节点，没有上级", "This is the root of its network and has no parent")
        return
    if not endpoint:
        yield Finding(
            step="parent",
            severity="fault",
            zh="config.toml 没有上级的地址 parent.endpoint",
            en="config.toml does not say where the parent is: parent.endpoint",
            remedy='parent.endpoint = "host:port"',
        )
        return
    reached = await _reach(endpoint)
    yield reached
    if reached.severity == "fault":
        return
    peers = GrpcPeers(
        identity=identity,
        material=identity,
        chains=ChainVerifier(identity.root_certificate),
        clock=clock,
        randomness=SystemRandomness(),
    )
    peers.know(parent, endpoint)
    try:
        met = await peers.hello(parent, timeout_s=TIMEOUT_S)
        yield _good("hello", f"上级 {parent} 已签名应答", f"The parent {parent} gave a signed answer")
        yield _clock(met.clock_offset_ms)
        page = await peers.read(parent, "directory", 2**40, 1, timeout_s=TIMEOUT_S)
        yield _good(
            "log", f"上级目录日志可读，共 {page.start} 条", f"The parent's directory log has {page.start} entries"
        )
    except LlnError as error:
        yield _from_error("hello", error, "lln peers")
    finally:
        await peers.close()


async def _reach(endpoint: str) -> Finding:
    """Name lookup and TCP, told apart."""
    host, _, port = endpoint.rpartition(":")
    unreached = await reach(endpoint, timeout_s=TIMEOUT_S)
    if unreached is not None and unreached.step == "lookup":
        return Finding(
            step="lookup",
            severity="fault",
            zh=f"无法解析上级地址 {host}：{unreached.why}",
            en=f"The parent's address {host} cannot be looked up: {unreached.why}",
            remedy=f"ping {host}",
        )
    if unreached is not None:
        return Finding(
            step="tcp",
            severity="fault",
            zh=f"连不上上级 {endpoint}：对方未启动，或防火墙拦截（{unreached.why}）",
            en=f"No connection to the parent at {endpoint}: it is down, or a firewall is in the way ({unreached.why})",
            remedy=f"nc -vz {host} {port}",
        )
    return _good("tcp", f"可以连到上级 {endpoint}", f"The parent can be reached at {endpoint}")


def _clock(offset_ms: int) -> Finding:
    if abs(offset_ms) < CLOCK_APART_MS:
        return _good(
            "clock", f"时钟与上级相差 {abs(offset_ms)} 毫秒", f"The clock is {abs(offset_ms)} ms from the parent's"
        )
    return Finding(
        step="clock",
        severity="warning" if abs(offset_ms) < 120_000 else "fault",
        zh=f"本机时钟与上级相差 {abs(offset_ms) // 1_000} 秒;超过 120 秒调用会被拒绝",
        en=f"The clock is {abs(offset_ms) // 1_000} s from the parent's; beyond 120 s calls are refused",
        remedy="timedatectl set-ntp true",
    )


def _free_space(home_path: Path) -> Finding:
    free = shutil.disk_usage(home_path).free
    if free >= FREE_BYTES_LEAST:
        return _good("data", f"数据目录剩余 {free // 2**20} MB", f"{free // 2**20} MB are free for data")
    return Finding(
        step="data",
        severity="warning",
        zh=f"磁盘只剩 {free // 2**20} MB",
        en=f"Only {free // 2**20} MB are left on the disk",
        remedy=f'du -sh "{home_path}"',
    )


def _good(step: str, zh: str, en: str) -> Finding:
    return Finding(step=step, severity="good", zh=zh, en=en)


def _from_error(step: str, error: LlnError, remedy: str) -> Finding:
    told = ": ".join(part for part in (error.subject, error.detail) if part)
    return Finding(
        step=step, severity="fault", zh=f"{error.zh} {told} [{error.code}]", en=f"{error.en} {told}", remedy=remedy
    )
