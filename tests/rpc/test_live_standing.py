"""Who is who in a running network: resolving, describing, renewing, revoking, and directories that claim too much."""

import base64
import json
import time

import msgspec
import pytest

from federation import canonical
from federation.catalogue import BilingualLine
from federation.certificate_profile import read_authority
from federation.checkpoints import sign_checkpoint
from federation.directory import NodeAdmitted, NodeDescription, NodeRevoked, NodeSuspended
from federation.errors import LlnError
from federation.logs import Entry, LogHead, LogId, Page, append
from federation.naming import NodeName
from node.usecases.accepting import FORK_KIND
from tests.support.live_nodes import ROOT, network, until

COUNTY = NodeName(f"county.{ROOT}")
FAR = NodeName(f"far.{ROOT}")
SCHOOL = NodeName(f"school-a.county.{ROOT}")
OTHER = NodeName(f"school-b.county.{ROOT}")
STRANGER = NodeName(f"school-c.far.{ROOT}")


async def _knows(live, name, status="active"):
    standing = live.node.vouching.standing_of(name)
    return standing is not None and standing.status == status


async def test_a_name_is_resolved_by_the_lowest_node_that_knows_it(tmp_path):
    async with network(tmp_path, "county", "far", "school-a.county", "school-b.county", "school-c.far") as nodes:
        peers = nodes[SCHOOL].node.peers
        await until(lambda: _knows(nodes[ROOT], STRANGER))
        near = await peers.resolve(COUNTY, OTHER, 4, timeout_s=3)
        assert (near.status, near.answered_by) == ("active", COUNTY)
        assert [read_authority(der).claims.name for der in near.chain] == [OTHER, COUNTY]
        distant = await peers.resolve(COUNTY, STRANGER, 4, timeout_s=3)
        assert (distant.status, distant.answered_by) == ("active", ROOT)
        assert [read_authority(der).claims.name for der in distant.chain] == [STRANGER, FAR]
        for name, hops in ((STRANGER, 0), (NodeName(f"nobody.{COUNTY}"), 4), (NodeName(f"nobody.{FAR}"), 4)):
            with pytest.raises(LlnError, match="LLN-121"):
                await peers.resolve(COUNTY, name, hops, timeout_s=3)
        await nodes[FAR].ask("node.revoke", name=STRANGER, reason="停办")
        await until(lambda: _knows(nodes[ROOT], STRANGER, "revoked"))
        assert (await peers.resolve(COUNTY, STRANGER, 4, timeout_s=3)).status == "revoked"


async def test_a_node_says_new_things_of_itself_but_not_what_it_is(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        school, county = nodes[SCHOOL].node, nodes[COUNTY].node
        told = msgspec.structs.replace(county.vouching.standing_of(SCHOOL).description, contact="post@example.org")
        await school.peers.describe(COUNTY, told, "describe-1", timeout_s=3)

        async def recorded():
            return county.vouching.standing_of(SCHOOL).description.contact == "post@example.org"

        await until(recorded)
        more = msgspec.structs.replace(told, level="national")
        with pytest.raises(LlnError, match="LLN-1159"):
            await school.peers.describe(COUNTY, more, "describe-2", timeout_s=3)


async def test_a_renewal_that_wins_nothing_is_answered_with_what_there_is_and_another_key_is_refused(tmp_path):
    async with network(tmp_path, "county", "school-a.county", "school-b.county") as nodes:
        school = nodes[SCHOOL].node
        request = school.identity.make_signing_request()
        chain = await school.peers.renew(COUNTY, request, "renew-1", timeout_s=3)
        assert chain == school.identity.chain
        before = (await nodes[COUNTY].log(COUNTY, "directory")).size
        with pytest.raises(LlnError):
            await nodes[OTHER].node.peers.renew(COUNTY, request, "renew-2", timeout_s=3)
        assert (await nodes[COUNTY].log(COUNTY, "directory")).size == before


async def test_a_revoked_node_is_refused_and_cannot_be_resumed(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        county = nodes[COUNTY]
        await county.ask("node.revoke", name=SCHOOL, reason="停办")
        await until(lambda: _knows(county, SCHOOL, "revoked"))
        with pytest.raises(LlnError, match="LLN-223"):
            await nodes[SCHOOL].node.peers.held(COUNTY, timeout_s=3)
        with pytest.raises(LlnError, match="LLN-131"):
            await county.ask("node.resume", name=SCHOOL, reason="x")
        with pytest.raises(LlnError, match="LLN-1158"):
            await county.ask("node.suspend", name=SCHOOL, reason=" ")
        assert (await county.ask("node.status")).children == {"revoked": 1}

        async def told():
            state = await nodes[SCHOOL].ask("node.status")
            return state.verdict.severity == "fault" and state.findings[0].step == "standing"

        await until(told)


def _false_page(live, *entries):
    """A page that goes on with the node's own directory log, signed with its own key as only itself can."""
    log = LogId(origin=live.node.name, topic="directory")
    documents = [canonical.encode(entry) for entry in entries]
    appended = append(LogHead(log=log), documents)
    note = sign_checkpoint(appended.head.checkpoint(), live.node.identity)
    return Page(log=log, start=0, entries=tuple(Entry.full(one) for one in documents), checkpoint_note=note)


async def test_a_directory_speaks_only_of_its_own_children_and_only_legally(tmp_path):
    async with network(tmp_path, "county", "far") as nodes:
        far = nodes[FAR]
        said = {"at_ms": int(time.time() * 1_000), "salt": "A" * 22}
        described = NodeDescription(title=BilingualLine(zh="甲"), level="school", kind="school")
        keys = {"description": described, "key": far.node.identity.did, "certificate": "AAAA"}
        claims = [
            [NodeAdmitted(authority=FAR, name=f"x.{COUNTY}", **said, **keys)],
            [NodeAdmitted(authority=COUNTY, name=f"x.{FAR}", **said, **keys)],
            [NodeAdmitted(authority=FAR, name=f"x.y.{FAR}", **said, **keys)],
            [NodeRevoked(authority=FAR, name=f"x.{FAR}", **said, reason="r")],
            [
                NodeAdmitted(authority=FAR, name=f"x.{FAR}", **said, **keys),
                NodeRevoked(authority=FAR, name=f"x.{FAR}", **said, reason="r"),
                NodeSuspended(authority=FAR, name=f"x.{FAR}", **said, reason="r"),
            ],
        ]
        for entries in claims:
            with pytest.raises(LlnError, match="LLN-2420"):
                await far.node.peers.push(ROOT, _false_page(far, *entries), 1, timeout_s=3)
        withheld = _false_page(far, *claims[0])
        hidden = msgspec.structs.replace(
            withheld, entries=tuple(Entry.withheld(one.leaf_hash) for one in withheld.entries)
        )
        with pytest.raises(LlnError, match="LLN-2420"):
            await far.node.peers.push(ROOT, hidden, 1, timeout_s=3)
        assert (await nodes[ROOT].log(FAR, "directory")).size == 0
        assert {one.name for one in nodes[ROOT].node.vouching.standings()} == {COUNTY, FAR}


async def test_forks_are_reported_only_of_ones_own_and_only_with_proof(tmp_path):
    async with network(tmp_path, "county", "far") as nodes:
        far = nodes[FAR]
        note = _false_page(far, NodeRevoked(authority=FAR, name=f"x.{FAR}", at_ms=1, salt="A" * 22, reason="r"))
        agreeing = {
            "origin": FAR,
            "topic": "directory",
            "one": base64.b64encode(note.checkpoint_note).decode(),
            "other": base64.b64encode(note.checkpoint_note).decode(),
            "found_by": FAR,
        }
        refused = {
            "LLN-24": agreeing,
            "LLN-2204": agreeing | {"origin": COUNTY},
            "LLN-1": agreeing | {"topic": "nothing"},
        }
        for code, report in refused.items():
            document = json.dumps(report, separators=(",", ":"), sort_keys=True).encode()
            await far.node.store.write(
                lambda tx, code=code, document=document: tx.outbox.add(ROOT, FORK_KIND, document, code, 1)
            )
            outcome = await far.node.posting.settled(ROOT, code, 20)
            assert outcome.code.startswith(code)
        assert (await nodes[ROOT].ask("node.status")).verdict.severity == "good"


async def test_only_its_own_logs_are_read_from_a_node(tmp_path):
    async with network(tmp_path, "county", "school-a.county") as nodes:
        peers = nodes[SCHOOL].node.peers
        page = await peers.read(COUNTY, "directory", 0, 10, timeout_s=3)
        assert len(page.entries) == 1
        beyond = await peers.read(COUNTY, "catalogue", 7, 10, timeout_s=3)
        assert (beyond.start, beyond.entries) == (0, ())
        with pytest.raises(LlnError, match="LLN-12"):
            await peers.read(COUNTY, "nothing", 0, 10, timeout_s=3)
        foreign = msgspec.structs.replace(page, log=LogId(origin=ROOT, topic="directory"))
        with pytest.raises(LlnError, match="LLN-2201"):
            await nodes[SCHOOL].node.accepting.accept_read(foreign, from_node=COUNTY)
