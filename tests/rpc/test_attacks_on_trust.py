"""Members who show certificates that they should not have: over real TLS, each is refused and the others are served."""

from dataclasses import replace

import grpc
import pytest
from cryptography import x509

from federation.issuance import DAY_MS
from federation.naming import NodeName
from protos.lln.v1 import directory_pb2
from tests.support.forged_certificates import forged
from tests.support.signed_nodes import Forger, Tree, dialled
from tests.support.small_network import new_ca_key

RESOLVE = "/lln.v1.Directory/Resolve"
PAYLOAD = directory_pb2.ResolveRequest(name="lln.internal").SerializeToString()


@pytest.fixture
async def tree():
    tree = Tree()
    await tree.district.start()
    yield tree
    async with dialled(tree.sister.dialling(tree.district)) as peers:
        assert await peers.resolve(tree.district.name, "lln.internal", 0, timeout_s=10)
    for node in tree.all():
        await node.stop()


def posing_as(member, name):
    """Somebody with keys of its own and a wish."""
    return replace(member, name=NodeName(name), ca_key=new_ca_key())


def named_outside(tree):
    district = tree.district.member
    thief = posing_as(tree.school.member, "west-lake.zhejiang.lln.internal")
    return replace(thief, chain=(forged(district, thief), *district.chain))


def named_as_a_grandchild(tree):
    province = tree.chongqing.member
    thief = posing_as(tree.school.member, "no3-middle.jiulongpo.chongqing.lln.internal")
    return replace(thief, chain=(forged(province, thief), *province.chain))


class WithTwoNames:
    """Its leaf is in order; the certificate above it names a neighbour as well."""

    def __init__(self, tree):
        district, self.name = tree.district.member, tree.school.name
        honest = replace(tree.school.member, chain=(forged(district, tree.school.member), *district.chain))
        names = [x509.DNSName(self.name), x509.DNSName(tree.sister.name)]
        did = x509.UniformResourceIdentifier(tree.school.member.key.did)
        self.certificate = forged(district, tree.school.member, names=[*names, did])
        self.honest = honest

    def tls(self, *, now_ms):
        leaf = self.honest.tls(now_ms=now_ms)
        return replace(leaf, chain=(leaf.certificate, self.certificate, *self.honest.chain[1:]))


def of_a_school_that_issues(tree):
    school = tree.school.member
    pupil = posing_as(school, f"class1.{school.name}")
    return replace(pupil, chain=(forged(school, pupil), *school.chain))


def expired(tree):
    return tree.district.member.admit(
        "old", kind="school", now_ms=tree.district.clock.now_ms() - 900 * DAY_MS, life_ms=30 * DAY_MS
    )


def not_yet_valid(tree):
    return tree.district.member.admit("new", kind="school", now_ms=tree.district.clock.now_ms() + 30 * DAY_MS)


def signed_by_somebody_else(tree):
    district, thief = tree.district.member, posing_as(tree.school.member, tree.school.name)
    return replace(thief, chain=(forged(district, thief, ca_key=new_ca_key()), *district.chain))


@pytest.mark.parametrize(
    "make",
    [
        named_outside,
        named_as_a_grandchild,
        WithTwoNames,
        of_a_school_that_issues,
        expired,
        not_yet_valid,
        signed_by_somebody_else,
    ],
)
async def test_a_chain_that_no_authority_stands_for_gets_nothing(tree, make):
    thief = make(tree)
    forger = Forger(tree.school, tree.district, leaf=thief.tls(now_ms=tree.district.clock.now_ms()))
    told = await forger.send(RESOLVE, PAYLOAD, caller=thief.name)
    by_tls = told.status is grpc.StatusCode.UNAVAILABLE and not told.code
    assert by_tls or told.code.startswith("LLN-21"), told  # by TLS itself, or by the node as an untrusted peer
    assert tree.district.behind.asked == []
    assert tree.district.heard == []
    await forger.close()
