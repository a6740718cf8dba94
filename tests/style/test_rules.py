"""Each rule finds what it is there to find, and leaves its neighbours alone: a check that cannot fail is a defect."""

import pytest

from tests.style import rules
from tests.style.command_line import unknown_commands
from tests.style.tree import module_of

BROKEN = [
    (rules.sizes, "x = 1\n" * 401),
    (rules.sizes, "def f():\n" + "    x = 1\n" * 70),
    (rules.module_docstring, "x = 1"),
    (rules.impurities, "import time"),
    (rules.impurities, "import os.path"),
    (rules.impurities, "from urllib import request"),
    (rules.impurities, "def f():\n    import random"),
    (rules.impurities, "from datetime import datetime\nnow = datetime.now()"),
    (rules.impurities, "import datetime as d\nnow = d.datetime.now"),
    (rules.impurities, "from nacl.signing import SigningKey as K\nK.generate()"),
    (rules.impurities, "async def f(): ..."),
    (rules.impurities, "text = open('x').read()"),
    (rules.effects, "import time\ntime.time()"),
    (rules.effects, "from time import monotonic as m\nm()"),
    (rules.effects, "import os\nhome = os.environ['HOME']"),
    (rules.effects, "import random\nrandom.random()"),
    (rules.effects, "from secrets import token_bytes\ntoken_bytes(3)"),
    (rules.effects, "import uuid\nuuid.uuid4()"),
    (rules.effects, "import datetime\ndatetime.datetime.now(datetime.UTC)"),
    (rules.wire_imports, "import grpc.aio"),
    (rules.wire_imports, "from google.protobuf import message"),
    (rules.wire_imports, "from google import protobuf"),
    (rules.wire_imports, "from protos.lln.v1 import node_pb2"),
    (rules.bare_tasks, "import asyncio\nasyncio.create_task(f())"),
    (rules.bare_tasks, "from asyncio import gather\nawait_this = gather(a, b)"),
    (rules.bare_tasks, "loop.create_task(f())"),
    (rules.bare_tasks, "asyncio.get_running_loop().create_task(f())"),
    (rules.broad_excepts, "try: f()\nexcept Exception: pass"),
    (rules.broad_excepts, "try: f()\nexcept: pass"),
    (rules.broad_excepts, "try: f()\nexcept (OSError, BaseException) as e: print(e)"),
    (rules.broad_excepts, "try: f()\nexcept Exception:  # noqa: BLE001\n    pass"),
    (rules.assembled_sql, 'q = f"SELECT a FROM t WHERE b = {c}"'),
    (rules.assembled_sql, 'q = "DELETE FROM t WHERE b = %s" % c'),
    (rules.assembled_sql, 'q = "INSERT INTO t VALUES (" + c + ")"'),
    (rules.assembled_sql, 'q = "UPDATE t SET a = {}".format(c)'),
    (rules.mocks, "from unittest.mock import Mock"),
    (rules.mocks, "from unittest import mock"),
    (rules.unfinished, "x = 1  # TO" + "DO: more"),
    (rules.empty_tests, "def test_nothing():\n    f()"),
    (rules.empty_tests, "class TestX:\n    async def test_nothing(self):\n        await f()"),
    (rules.quiet_skips, "import pytest\npytest.skip('not today')"),
    (rules.empty_tests, "def looking(x): return x\ndef test_x():\n    looking(1)"),
    (rules.quiet_skips, "import pytest\n@pytest.mark.skipif(True, reason='slow')\ndef test_x(): assert 0"),
    (rules.quiet_skips, "import pytest\n@pytest.mark.xfail\ndef test_x(): assert 0"),
]

SOUND = [
    (rules.sizes, "def f():\n" + "    x = 1\n" * 69),
    (rules.module_docstring, '"""A room."""'),
    (rules.module_docstring, ""),
    (rules.impurities, "import hashlib\nfrom urllib.parse import quote\nfrom datetime import UTC, datetime"),
    (rules.impurities, "from federation.naming import NodeName\nimport msgspec"),
    (rules.impurities, "def f(log):\n    return log.open"),
    (rules.effects, "import time\ndef f(clock): return clock.now_ms()\ntime.sleep"),
    (rules.effects, "def f(environ): return environ['x']"),
    (rules.wire_imports, "import grpcx, google.cloud"),
    (rules.bare_tasks, "async with asyncio.TaskGroup() as group:\n    group.create_task(f())"),
    (rules.bare_tasks, "asyncio.create_task(f())  # allowed: bare-task, stop() awaits it"),
    (rules.bare_tasks, "self._loop.create_task(f())  # ended by `close`"),
    (rules.assembled_sql, 'q = f"SELECT a FROM t WHERE b IN ({marks(9)})"'),
    (rules.unfinished, "try: f()\nexcept NotImplemented" + "Error: pass"),
    (rules.empty_tests, "def refused(x):\n    assert x\ndef again(x): refused(x)\ndef test_x():\n    again(1)"),
    (rules.empty_tests, "def test_x():\n    try: f()\n    except BadLog: pass"),
    (rules.quiet_skips, "import pytest\nm = pytest.mark.skip(reason=f'VECTORS ARE ABSENT: {x}')"),
    (rules.broad_excepts, "try: f()\nexcept BaseException:\n    undo()\n    raise"),
    (rules.broad_excepts, "try: f()\nexcept OSError: pass"),
    (rules.broad_excepts, "try: f()\nexcept Exception:  # noqa: BLE001  # the caller's task must go on\n    pass"),
    (rules.assembled_sql, 'q = "SELECT a FROM t " "WHERE b = ?"'),
    (rules.assembled_sql, 'told = f"could not SELECT {name}"'),
    (rules.mocks, "import unittest"),
    (rules.empty_tests, "def test_x():\n    with pytest.raises(ValueError): f()"),
    (rules.empty_tests, "def test_x():\n    check_everything(f())"),
    (rules.empty_tests, "def helping():\n    pass"),
    (rules.quiet_skips, "import pytest\npytest.skip('../shared is absent')"),
]


@pytest.mark.parametrize(("rule", "text"), BROKEN)
def test_what_a_rule_forbids_is_found(rule, text):
    assert rule(module_of(text))


@pytest.mark.parametrize(("rule", "text"), SOUND)
def test_what_a_rule_allows_is_left_alone(rule, text):
    assert rule(module_of(text)) == []


@pytest.mark.parametrize("name", ["node.rpc.utils", "node.storage_helpers", "federation.info", "node.data.rows"])
def test_names_that_say_nothing_are_found(name):
    assert rules.names(module_of("", name))


@pytest.mark.parametrize("name", ["node.rpc.channels", "federation.database", "node.storage.rows"])
def test_names_of_the_field_are_left_alone(name):
    assert rules.names(module_of("", name)) == []


def test_a_suppression_without_a_reason_suppresses_nothing():
    assert rules.bare_tasks(module_of("asyncio.create_task(f())  # allowed: bare-task"))
    assert rules.bare_tasks(module_of("asyncio.create_task(f())  # allowed: mock, a reason"))


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ("Run lln check to see.", []),
        ("see lln log", []),
        ("lln log show prints it；请运行lln log verify。", []),
        ("lln log shows it", ["lln log shows"]),
        ("lln mend it", ["lln mend it"]),
        ("the lln check command", []),
        ("请用 lln check list 查看", ["lln check list"]),
        ("the name hub.lln internal and lln-node", []),
    ],
)
def test_a_command_that_does_not_exist_is_found(sentence, wrong):
    assert unknown_commands(sentence, {"lln check", "lln log show", "lln log verify"}) == wrong
