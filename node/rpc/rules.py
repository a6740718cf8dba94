"""Who may call what, as the .proto files declare it beside each method.

What must not live here: a default for a method that declares nothing; a server with such a method does not start.
"""

from functools import cache
from typing import Final

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from federation.calls import METHOD_CHARS_MAX, MethodRules
from federation.errors import BrokenHome
from federation.naming import Relation
from protos.lln.v1 import rules_pb2

REQUEST_BYTES_DEFAULT: Final = 65_536
DEADLINE_MS_DEFAULT: Final = 10_000
_CALLERS: Final[dict[int, Relation]] = {
    rules_pb2.SELF: "self",
    rules_pb2.PARENT: "parent",
    rules_pb2.CHILD: "child",
    rules_pb2.SIBLING: "sibling",
    rules_pb2.ANCESTOR: "ancestor",
    rules_pb2.DESCENDANT: "descendant",
    rules_pb2.NETWORK: "network",
}


class MethodWithoutRules(BrokenHome):
    code = "LLN-1511"
    zh = "接口方法没有声明谁可以调用，服务不会启动。请在 .proto 中补上 rules。"
    en = "A method does not declare who may call it, so the server does not start. Add its rules to the .proto."


def rules_of(service: ServiceDescriptor) -> dict[str, MethodRules]:
    """The rules of every method of a service by method name; raises MethodWithoutRules."""
    return {method.name: _rules(method) for method in service.methods}


@cache
def is_sealed(path: str) -> bool:
    """Whether the method at `path` travels sealed through relays; False for one that is not known here."""
    service, _, method = path.removeprefix("/").rpartition("/")
    try:
        declared = descriptor_pool.Default().FindServiceByName(service).FindMethodByName(method)
    except KeyError:
        return False
    return declared is not None and _rules(declared).sealed


def path_of(method: MethodDescriptor) -> str:
    """The method as HTTP/2 names it, such as "/lln.v1.Logs/Push"."""
    return f"/{method.containing_service.full_name}/{method.name}"


def _rules(method: MethodDescriptor) -> MethodRules:
    path = path_of(method)
    options = method.GetOptions()
    if not options.HasExtension(rules_pb2.rules):
        raise MethodWithoutRules(path, "no (rules) option")
    declared = options.Extensions[rules_pb2.rules]
    callers = [_CALLERS.get(caller) for caller in declared.callers]
    if not callers or None in callers:
        raise MethodWithoutRules(path, "its rules name no caller, or one that is not known")
    if (method.client_streaming or method.server_streaming) and not declared.streams_signed_content:
        raise MethodWithoutRules(path, "it streams, and its rules do not say that what it carries is signed itself")
    if len(path) > METHOD_CHARS_MAX:
        raise MethodWithoutRules(path, f"its name is longer than {METHOD_CHARS_MAX} characters")
    return MethodRules(
        method=path,
        callers=frozenset(caller for caller in callers if caller),
        changes=declared.changes,
        reads_catalogue=declared.reads_catalogue,
        introduces=declared.introduces,
        streams_signed_content=declared.streams_signed_content,
        sealed=declared.sealed,
        waits=declared.waits,
        request_bytes_max=declared.request_bytes_max or REQUEST_BYTES_DEFAULT,
        deadline_ms_max=declared.deadline_ms_max or DEADLINE_MS_DEFAULT,
    )
