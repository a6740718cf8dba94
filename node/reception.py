"""The desk in use: each operation of `node/desk`, given to the use case that does it.

What lives here: one line per operation, and reading and writing their documents. What must not: any decision.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from federation.errors import InvalidInput, NotFound
from federation.naming import NodeName, parse_name
from federation.search import TEXT_CHARS_MAX, Filters, SearchAnswer, SearchRequest
from node import desk
from node.desk import OPERATIONS
from node.ports import Peers
from node.usecases.admitting import Admitting
from node.usecases.clearing import Clearing
from node.usecases.enrolling import Enrolling
from node.usecases.following import Following
from node.usecases.forwarding import Forwarding
from node.usecases.importing import Importing
from node.usecases.inspecting import Inspecting
from node.usecases.meeting import Meeting
from node.usecases.moving import Moving
from node.usecases.pinging import ping
from node.usecases.proving import Proving
from node.usecases.publishing import Publishing
from node.usecases.searching import Searching

Doing = Callable[[Any], Awaitable[Any]]
_DAY_MS: Final = 24 * 3_600_000


class UnknownOperation(NotFound):
    code = "LLN-124"
    zh = "本节点不认识这个操作，可能是命令行与节点的版本不同。"
    en = "The node does not know this operation; the command line may be of another version."


class BadQuestion(InvalidInput):
    code = "LLN-112"
    zh = "请求的内容不符合要求。请按提示修改。"
    en = "The request is not acceptable. Change what it names."


class Reception:
    """Answers the command line, and later the portal."""

    def __init__(
        self,
        *,
        own_name: NodeName,
        inspecting: Inspecting,
        enrolling: Enrolling,
        admitting: Admitting,
        moving: Moving,
        importing: Importing,
        publishing: Publishing,
        searching: Searching,
        proving: Proving,
        peers: Peers,
        meeting: Meeting,
        following: Following,
        forwarding: Forwarding,
        clearing: Clearing,
        open_door: Callable[[], Awaitable[None]],
        searched: Callable[[], None],
        additional: Mapping[str, Doing],
    ) -> None:
        """`open_door`: lets newcomers in from now on, if the node is served; called before a code is given out.
        `searched`: told of every search of the network that people here begin.

        `additional`: what other parts of the node do, by operation.
        """
        self._own_name = own_name
        self._enrolling = enrolling
        self._searching = searching
        self._meeting = meeting
        self._following = following
        self._forwarding = forwarding
        self._open_door = open_door
        self._searched = searched
        self._doing: Mapping[str, Doing] = {
            **additional,
            "node.status": lambda _: inspecting.status(),
            "node.tree": lambda _: inspecting.tree(),
            "node.peers": lambda _: inspecting.peers(),
            "node.ping": lambda asked: ping(peers, parse_name(asked.name)),
            "invite.make": self._invite,
            "invite.list": lambda _: self._invites(),
            "invite.cancel": self._cancel_invite,
            "node.suspend": lambda asked: admitting.suspend(parse_name(asked.name), asked.reason),
            "node.resume": lambda asked: admitting.resume(parse_name(asked.name), asked.reason),
            "node.revoke": lambda asked: admitting.revoke(parse_name(asked.name), asked.reason),
            "node.parent": self._parent,
            "node.moved": lambda asked: moving.record_by_word(parse_name(asked.name), parse_name(asked.to)),
            "resource.import": importing.import_resources,
            "resource.review": publishing.review,
            "resource.publish": publishing.publish,
            "resource.withdraw": publishing.withdraw,
            "resource.show": publishing.show,
            "resource.list": publishing.list_resources,
            "search": self._search,
            "log.list": lambda _: proving.logs(),
            "log.show": proving.show,
            "log.verify": proving.verify,
            "log.prove": proving.prove,
            "outbox.show": lambda _: clearing.show(),
            "outbox.retry": clearing.retry,
            "outbox.drop": clearing.drop,
        }

    async def ask(self, operation: str, request: bytes) -> bytes:
        """The JSON answer to a JSON question; raises UnknownOperation, BadQuestion, or what the use case raises."""
        known = OPERATIONS.get(operation)
        if known is None:
            raise UnknownOperation(operation)
        try:
            asked = msgspec.json.decode(request or b"{}", type=known.asked)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadQuestion(operation, str(error)[:300]) from error
        return msgspec.json.encode(await self._doing[operation](asked))

    async def _search(self, asked: desk.SearchAsked) -> SearchAnswer:
        if (
            asked.text and not asked.offset and asked.scope != "node"
        ):  # no second page, no quick look at this node first
            self._searched()
        filters = Filters(
            section=asked.section,
            audience=asked.audience,
            industry=asked.industry,
            language=asked.language,
            type=asked.type,
            stage=asked.stage,
            key=asked.key,
        )
        answer = await self._searching.search(
            SearchRequest(
                text=asked.text[:TEXT_CHARS_MAX],
                scope=asked.scope,
                asker=self._own_name,
                under=asked.under,
                filters=filters,
                limit=asked.limit,
                offset=asked.offset,
                facets=asked.facets,
            )
        )
        was_cut = answer.text_was_cut or len(asked.text) > TEXT_CHARS_MAX
        return msgspec.structs.replace(answer, text_was_cut=was_cut)

    async def _invite(self, asked: desk.InviteAsked) -> desk.InviteMade:
        made = await self._enrolling.invite(
            asked.label, asked.description, asked.days * _DAY_MS, replaces=asked.replace
        )
        await self._open_door()
        return desk.InviteMade(
            id=made.invite.id, name=made.invite.name, code=made.code, expires_at_ms=made.invite.expires_at_ms
        )

    async def _parent(self, asked: desk.ParentAsked) -> desk.Nothing:
        """The parent has another address; raises where it does not answer there."""
        parent = await self._meeting.find_parent(asked.endpoint)
        if parent is not None:
            await self._following.catch_up(parent)
            self._forwarding.wake()
        return desk.Nothing()

    async def _invites(self) -> desk.Invites:
        return desk.Invites(
            invites=tuple(
                desk.InviteState(
                    id=invite.id,
                    name=invite.name,
                    description=invite.description,
                    state=invite.state,
                    expires_at_ms=invite.expires_at_ms,
                    tries_left=invite.tries_left,
                )
                for invite in await self._enrolling.invites()
            )
        )

    async def _cancel_invite(self, asked: desk.InviteNamed) -> desk.Nothing:
        await self._enrolling.cancel_invite(asked.id)
        return desk.Nothing()
