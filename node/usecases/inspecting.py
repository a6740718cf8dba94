"""Inspecting: how this node is, whom it knows, and how it gets on with them.

What lives here: the verdict and what led to it, the tree, the peers. What must not: mending anything; every finding
names the command that does.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from federation.catalogue import TOPIC
from federation.certificate_profile import read_authority
from federation.directory import FRESH_MS, CallerRevoked, CallerSuspended, NodeDescription
from federation.errors import LlnError
from federation.naming import NodeName, is_within, parent_of, relation_of
from node.desk import Finding, Logs, NodeState, Peers, PeerState, Severity, Tree, TreeNode
from node.ports import Backlog, Clock, Identity, Store
from node.usecases.dealings import Dealings
from node.usecases.regaining import Lost, lost_of
from node.usecases.vouching import Vouching

DAY_MS: Final = 24 * 3_600_000
SOON_MS: Final = 30 * DAY_MS
SLOW_MS: Final = 5 * 60_000
BACKLOG_MS: Final = 15 * 60_000
BACKUP_OLD_MS: Final = 30 * DAY_MS
CLOCK_APART_MS: Final = 30_000
NAMED_MAX: Final = 10
NOT_ADMITTED: Final = {CallerSuspended.code: ("暂停", "suspended"), CallerRevoked.code: ("撤销", "revoked")}
_WORST: Final = {"good": 0, "notice": 1, "warning": 2, "fault": 3}


class Refused(Protocol):
    """Calls that were refused since the start, by error code: in all, and of each peer; and connections begun."""

    @property
    def by_code(self) -> Mapping[str, int]: ...

    @property
    def connections(self) -> int: ...

    def of(self, peer: NodeName) -> Mapping[str, int]: ...

    def peers(self) -> Sequence[NodeName]: ...


class Inspecting:
    def __init__(
        self,
        *,
        store: Store,
        vouching: Vouching,
        dealings: Dealings,
        logs: Callable[[], Awaitable[Logs]],
        identity: Identity,
        clock: Clock,
        description: NodeDescription,
        searchable: Callable[[], int],
        endpoint_of: Callable[[NodeName], str],
        waiting: Callable[[], int],
        refused: Callable[[], Refused],
        trouble: Callable[[], LlnError | None],
        backed_up_at_ms: Callable[[], int | None],
        files: Callable[[], Awaitable[Sequence[Finding]]],
        software_version: str,
        limits: Mapping[str, float],
    ) -> None:
        self._store = store
        self._vouching = vouching
        self._dealings = dealings
        self._logs = logs
        self._identity = identity
        self._clock = clock
        self._description = description
        self._searchable = searchable
        self._endpoint_of = endpoint_of
        self._waiting = waiting
        self._refused = refused
        self._trouble = trouble
        self._backed_up_at_ms = backed_up_at_ms
        self._files = files
        self._software_version = software_version
        self._limits = dict(limits)
        self._started_at_ms = clock.now_ms()
        self._parent = parent_of(identity.name, identity.root)

    async def status(self) -> NodeState:
        """One sentence, then everything that is not as it should be, then the facts."""
        forks, counts, backlogs, lost = await self._store.read(
            lambda tx: (len(tx.logs.forks()), dict(tx.resources.counts()), tx.outbox.backlogs(), lost_of(tx))
        )
        logs = (await self._logs()).logs
        findings = [
            finding
            for finding in (self._parent_finding(), self._clock_finding(), self._certificate_finding(), _forks(forks))
            if finding is not None
        ]
        backed_up_at_ms = self._backed_up_at_ms()
        findings.append(backup_finding(backed_up_at_ms, self._clock.now_ms()))
        findings.extend(await self._files())
        findings = [one for one in findings if one.severity != "good"]
        findings.extend(self._trouble_findings())
        findings.extend(self._provisional_findings())
        findings.extend(_outbox_findings(backlogs, self._clock.now_ms()))
        findings.extend(_ledger_findings(lost))
        findings.extend(self._refusal_findings())
        children: dict[str, int] = {}
        for child in self._vouching.children():
            children[child.status] = children.get(child.status, 0) + 1
        return NodeState(
            verdict=self._verdict(findings),
            findings=tuple(findings),
            name=self._identity.name,
            root=self._identity.root,
            parent=self._parent,
            description=self._description,
            key=self._identity.did,
            certificate_ends_ms=self._certificate_ends_ms(),
            started_at_ms=self._started_at_ms,
            now_ms=self._clock.now_ms(),
            software_version=self._software_version,
            resources=counts,
            searchable=self._searchable(),
            logs=logs,
            children=children,
            backed_up_at_ms=backed_up_at_ms,
            limits=self._limits,
            refused=dict(self._refused().by_code),
            connections=self._refused().connections,
        )

    async def tree(self) -> Tree:
        """Every node known here, parents before children: this one, those below it, its parent and siblings."""
        logs = await self._store.read(lambda tx: tuple(tx.logs.all()))
        held = {stored.log.origin: stored for stored in logs if stored.log.topic == TOPIC}
        mine = held.get(self._identity.name)
        own = TreeNode(
            name=self._identity.name,
            parent=self._parent,
            description=self._description,
            status="active",
            catalogue_size=mine.head.size if mine else None,
            confirmed_at_ms=self._clock.now_ms(),
        )
        below = [
            TreeNode(
                name=standing.name,
                parent=standing.authority,
                description=standing.description,
                status=standing.status,
                catalogue_size=copy.head.size if copy else None,
                confirmed_at_ms=copy.confirmed_at_ms if copy else None,
            )
            for standing in self._vouching.standings()
            if is_within(standing.name, self._identity.name) and standing.name != self._identity.name
            for copy in (held.get(standing.name),)
        ]
        return Tree(top=self._identity.name, nodes=(own, *below))

    async def peers(self) -> Peers:
        names = dict.fromkeys(
            (
                *((self._parent,) if self._parent else ()),
                *(child.name for child in self._vouching.children()),
                *(sibling.name for sibling in self._vouching.siblings()),
                *self._dealings.peers(),
                *self._refused().peers(),
            )
        )
        return Peers(peers=tuple(self._peer(name) for name in names if name != self._identity.name))

    def _peer(self, name: NodeName) -> PeerState:
        dealing = self._dealings.of(name)
        standing = self._vouching.standing_of(name)
        told = (standing.description.endpoint if standing else None) or ""
        return PeerState(
            name=name,
            relation=relation_of(name, self._identity.name, self._identity.root),
            endpoint=self._endpoint_of(name) or told,
            status=standing.status if standing else "active",
            last_success_ms=dealing.last_success_ms,
            last_failure_ms=dealing.last_failure_ms,
            last_error=dealing.last_error,
            waiting=self._waiting() if name == self._parent else 0,
            clock_offset_ms=dealing.clock_offset_ms,
            refused=dict(self._refused().of(name)),
        )

    # --- findings ----------------------------------------------------------------------------------------------------

    def _verdict(self, findings: list[Finding]) -> Finding:
        worst = max(findings, key=lambda one: _WORST[one.severity], default=None)
        if worst is None or worst.severity == "notice":
            return Finding(step="verdict", severity="good", zh="一切正常。", en="Everything works.")
        if worst.severity == "warning":
            return Finding(
                step="verdict",
                severity="warning",
                zh=f"可以使用，但需要留意：{worst.zh}",
                en=f"It works, but look at this: {worst.en}",
                remedy=worst.remedy,
            )
        return Finding(
            step="verdict", severity="fault", zh=f"有故障：{worst.zh}", en=f"Faulty: {worst.en}", remedy=worst.remedy
        )

    def _parent_finding(self) -> Finding | None:
        if self._parent is None:
            return None
        dealing = self._dealings.of(self._parent)
        if dealing.last_failure_ms > dealing.last_success_ms and any(one in dealing.last_error for one in NOT_ADMITTED):
            zh, en = next(words for code, words in NOT_ADMITTED.items() if code in dealing.last_error)
            reason = dealing.last_error.rpartition(": ")[2]
            return Finding(
                step="standing",
                severity="fault",
                zh=f"上级 {self._parent} 已{zh}本节点：{reason}。请联系上级。",
                en=f"The parent {self._parent} has {en} this node: {reason}. Ask there.",
                remedy="lln peers",
            )
        age_ms = self._vouching.directory_age_ms(self._parent)
        if age_ms is not None and age_ms < FRESH_MS and dealing.last_success_ms >= dealing.last_failure_ms:
            return None
        if dealing.last_success_ms == 0 and self._clock.now_ms() - self._started_at_ms < SLOW_MS:
            severity: Severity = "notice" if not dealing.last_error else "warning"
        else:
            severity = "warning" if age_ms is not None and age_ms < DAY_MS else "fault"
        told = f" ({dealing.last_error})" if dealing.last_error else ""
        return Finding(
            step="parent",
            severity=severity,
            zh=f"暂时联系不上上级 {self._parent}{told}。本地检索和工作照常，恢复后自动补齐。",
            en=f"The parent {self._parent} is not answering{told}. Local work goes on and catches up by itself.",
            remedy="lln check",
        )

    def _clock_finding(self) -> Finding | None:
        offset_ms = self._dealings.of(self._parent).clock_offset_ms if self._parent else None
        if offset_ms is None or abs(offset_ms) < CLOCK_APART_MS:
            return None
        return Finding(
            step="clock",
            severity="warning" if abs(offset_ms) < 120_000 else "fault",
            zh=f"本机时钟与上级相差 {offset_ms / 1_000:+.0f} 秒。",
            en=f"This machine's clock is {-offset_ms / 1_000:+.0f} s from the parent's.",
            remedy="timedatectl set-ntp true",
        )

    def _certificate_finding(self) -> Finding | None:
        ends_ms = self._certificate_ends_ms()
        left_ms = (ends_ms or 2**60) - self._clock.now_ms()
        if left_ms > SOON_MS:
            return None
        return Finding(
            step="certificate",
            severity="warning" if left_ms > 0 else "fault",
            zh=f"节点证书{'已过期' if left_ms <= 0 else f'还有 {left_ms // DAY_MS} 天到期'}，尚未自动续期。",
            en="The node certificate has expired." if left_ms <= 0 else f"It expires in {left_ms // DAY_MS} days.",
            remedy="lln check",
        )

    def _provisional_findings(self) -> list[Finding]:
        """Who was let in while the directory was stale: so far, and wrongly, as is known by now."""
        ledger, findings = self._vouching.ledger(), []
        if ledger.regretted:
            named = ", ".join(dict.fromkeys(f"{one.caller} ({one.status})" for one in ledger.regrets[-NAMED_MAX:]))
            findings.append(
                Finding(
                    step="provisional calls",
                    severity="warning",
                    zh=f"失联期间放行过 {ledger.regretted} 个当时已被暂停、撤销或迁走的节点：{named}。"
                    "请核对它们送来的内容。",
                    en=f"While cut off, {ledger.regretted} nodes were let in that had been suspended, revoked or moved "
                    f"already: {named}. Look at what they brought.",
                    remedy="lln peers",
                )
            )
        if ledger.waiting and (self._vouching.directory_age_ms(self._parent) or 0 if self._parent else 0) >= FRESH_MS:
            calls = sum(one.calls for one in ledger.waiting) + ledger.unnamed
            findings.append(
                Finding(
                    step="provisional calls",
                    severity="notice",
                    zh=f"与上级失联期间暂时放行了 {len(ledger.waiting)} 个节点的 {calls} 次调用，恢复后会重新核对。",
                    en=f"While cut off, {calls} calls of {len(ledger.waiting)} nodes were let in provisionally.",
                )
            )
        return findings

    def _trouble_findings(self) -> list[Finding]:
        trouble = self._trouble()
        if trouble is None:
            return []
        told = f"{trouble.subject}: {trouble.detail} [{trouble.code}]"
        return [
            Finding(
                step="index",
                severity="warning",
                zh=f"新内容暂时检索不到:{trouble.zh}{told}",
                en=f"What is new cannot be found for now: {trouble.en} {told}",
                remedy="lln check",
            )
        ]

    def _refusal_findings(self) -> list[Finding]:
        """By code, with whoever was refused most often; whether that is a flood or a mistake, its owner knows."""
        refused = self._refused()
        findings = []
        for code, count in sorted(refused.by_code.items()):
            peer = max(refused.peers(), key=lambda name: refused.of(name).get(code, 0), default=None)
            theirs = refused.of(peer).get(code, 0) if peer else 0
            zh, en = (f"，其中 {theirs} 次来自 {peer}", f", {theirs} of them of {peer}") if theirs else ("", "")
            findings.append(
                Finding(
                    step="refused calls",
                    severity="notice",
                    zh=f"启动以来拒绝了 {count} 次调用（{code}）{zh}。",
                    en=f"{count} calls were refused since the start ({code}){en}.",
                    remedy="lln peers",
                )
            )
        return findings

    def _certificate_ends_ms(self) -> int | None:
        chain = self._identity.chain
        return read_authority(chain[0] if chain else self._identity.root_certificate).claims.not_after_ms


def backup_finding(backed_up_at_ms: int | None, now_ms: int) -> Finding:
    """How old the last backup is: a machine that is lost without one loses who wrote what, and every draft."""
    if backed_up_at_ms is None:
        return Finding(
            step="backup",
            severity="notice",
            zh="还没有做过备份。",
            en="No backup has been made yet.",
            remedy="lln backup FILE",
        )
    days = max(0, now_ms - backed_up_at_ms) // DAY_MS
    is_old = now_ms - backed_up_at_ms > BACKUP_OLD_MS
    return Finding(
        step="backup",
        severity="warning" if is_old else "good",
        zh=f"上次备份在 {days} 天前。",
        en=f"The last backup is {days} days old.",
        remedy="lln backup FILE" if is_old else "",
    )


def _forks(count: int) -> Finding | None:
    if not count:
        return None
    return Finding(
        step="forks",
        severity="fault",
        zh=f"有 {count} 份日志签出了互相矛盾的历史，证据已保留并上报。",
        en=f"{count} logs have signed contradicting histories; the evidence is kept and reported.",
        remedy="lln log show",
    )


def _ledger_findings(lost: Lost) -> Iterator[Finding]:
    """What an issuer that was restored from a backup has not got back yet."""
    if lost.missing:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(lost.kinds.items()))
        yield Finding(
            step="ledger",
            severity="warning",
            zh=f"备份之后的 {lost.missing} 次学分核销尚未找回（日志记载：{kinds}），备份前的记录暂停预占。"
            "请与每个转换过学分的机构对账。",
            en=f"{lost.missing} commits since the backup are not back yet (the log has: {kinds}); earlier records are"
            " not lent. Reconcile with each institution that converts credits of this one.",
            remedy="lln reconcile PEER --restore",
        )


def _outbox_findings(backlogs: Sequence[Backlog], now_ms: int) -> Iterator[Finding]:
    """What was given up, and what has waited for longer than an outage usually lasts."""
    dead = [one for one in backlogs if one.dead]
    if dead:
        count, named = sum(one.dead for one in dead), ", ".join(one.to for one in dead[:NAMED_MAX])
        yield Finding(
            step="dead letters",
            severity="warning",
            zh=f"有 {count} 条发往 {named} 的消息已放弃发送。请查看原因,再重发或删除。",
            en=f"{count} items for {named} have been given up. See why, then retry or drop them.",
            remedy="lln outbox",
        )
    late = [one for one in backlogs if one.waiting and now_ms - one.oldest_at_ms >= BACKLOG_MS]
    if late:
        count, named = sum(one.waiting for one in late), ", ".join(one.to for one in late[:NAMED_MAX])
        is_old = any(now_ms - one.oldest_at_ms >= DAY_MS for one in late)
        yield Finding(
            step="outbox",
            severity="warning" if is_old else "notice",
            zh=f"有 {count} 条消息还没有送达 {named},会自动继续发送。",
            en=f"{count} items have not arrived at {named} yet; sending goes on by itself.",
            remedy="lln outbox",
        )
