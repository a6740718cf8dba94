"""What an operator can set, as one schema; every key has a default that suits a school's old PC.

What lives here: the schema, reading and first writing of `config.toml`. What must not: anything derived while running,
secrets, or a node's name (its certificate says that).
"""

import tomllib
from importlib import resources
from pathlib import Path
from string import Template
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from federation.callers import RateLimit
from federation.directory import NodeDescription
from federation.errors import BrokenHome
from federation.naming import Level

FILE_BYTES_MAX = 65_536

HostPort = Annotated[str, Meta(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.*-]+):[0-9]{1,5}$", max_length=260)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
ListenOrNone = Annotated[str, Meta(pattern=r"^$|^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.*-]+):[0-9]{1,5}$", max_length=260)]
OidcIssuer = Annotated[
    str, Meta(pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])[^\s?#]+$", min_length=9, max_length=255)
]
WebOrigin = Annotated[str, Meta(pattern=r"^https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?$", max_length=260)]
PerMinute = Annotated[int, Meta(ge=1, le=1_000_000)]


class SettingsRejected(BrokenHome):
    code = "LLN-151"
    zh = "config.toml 无法使用。请按提示改正这一项，或从 config/templates 里的模板重新开始。"
    en = "config.toml cannot be used. Correct the key named here, or start again from a template in config/templates."


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Listen(_Section, frozen=True, kw_only=True):
    """`grpc` serves other nodes, `enrolment` those that join; port 0 takes a free one."""

    grpc: HostPort = "0.0.0.0:7443"
    enrolment: HostPort = "0.0.0.0:7444"
    enrolment_endpoint: HostPort | None = None


class Portal(_Section, frozen=True, kw_only=True):
    """The web pages. `listen`: nowhere where it is empty; `address`: as people type it, where that is another one, such
    as `https://learn.example.org` in front of which TLS ends. `metrics`: who may read `/metrics`. `staff_totp`: that
    everybody but learners has to set up one-time codes before their roles open anything. `oidc_…`: the sign-in of the
    institution, where it has one. `file_mb`: the largest file that somebody may offer; `files_total_mb`: all of them
    together, 0 where links alone are taken; `files_per_day`: of one person.
    """

    listen: ListenOrNone = "127.0.0.1:7480"
    address: WebOrigin | None = None
    metrics: Literal["loopback", "everybody"] = "loopback"
    session_hours: Annotated[int, Meta(ge=1, le=168)] = 12
    second_person_rows: Annotated[int, Meta(ge=0, le=100_000)] = 50
    staff_totp: bool = False
    oidc_issuer: OidcIssuer | None = None
    oidc_client: Annotated[str, Meta(max_length=255)] = ""
    oidc_secret: Annotated[str, Meta(max_length=255)] = ""
    oidc_title: Annotated[str, Meta(max_length=64)] = ""
    file_mb: Annotated[int, Meta(ge=1, le=1_000)] = 20
    files_total_mb: Annotated[int, Meta(ge=0, le=1_000_000)] = 2_048
    files_per_day: Annotated[int, Meta(ge=1, le=1_000)] = 20


NO_PORTAL = Portal(listen="")


class Parent(_Section, frozen=True, kw_only=True):
    """Where the parent is dialled; absent at the root of a network."""

    endpoint: HostPort | None = None
    enrolment_endpoint: HostPort | None = None


class Sync(_Section, frozen=True, kw_only=True):
    """How often copies are confirmed when nothing changes, and how retries are spread."""

    confirm_own_every_s: Seconds = 300.0
    confirm_copies_every_s: Seconds = 3_600.0
    directory_every_s: Seconds = 60.0
    retry_first_s: Seconds = 1.0
    retry_longest_s: Seconds = 900.0
    call_timeout_s: Seconds = 20.0


class Search(_Section, frozen=True, kw_only=True):
    """`timeout_s` bounds a whole federated search; a hop leaves `hop_margin_s` of it for the way back."""

    timeout_s: Seconds = 3.0
    hop_margin_s: Seconds = 0.2
    siblings_asked_max: Annotated[int, Meta(ge=0, le=64)] = 8
    statistics_every_s: Seconds = 86_400.0
    index_writer_megabytes: Annotated[int, Meta(ge=15, le=2_000)] = 15


class Learners(_Section, frozen=True, kw_only=True):
    """`records_kept_years`: how long a record this node issued is kept after its learner's account is erased."""

    records_kept_years: Annotated[int, Meta(ge=1, le=100)] = 30


class Limits(_Section, frozen=True, kw_only=True):
    """What one peer may cost this node. `share_per_peer`: of its time; `failures`: calls that do not hold; `changes`:
    calls that are kept for ever; `unknown_names`: names asked of the parent for this peer that nobody knew.
    """

    calls_per_second: Annotated[float, Meta(gt=0, le=100_000)] = 100.0
    calls_burst: Annotated[int, Meta(ge=1, le=100_000)] = 400
    calls_at_once_per_peer: Annotated[int, Meta(ge=1, le=10_000)] = 32
    calls_at_once: Annotated[int, Meta(ge=1, le=100_000)] = 512
    share_per_peer: Annotated[float, Meta(gt=0, le=1)] = 0.25
    failures_per_minute: PerMinute = 60
    changes_per_minute: PerMinute = 600
    unknown_names_per_minute: PerMinute = 60
    connections: Annotated[int, Meta(ge=8, le=1_000_000)] = 1_024
    connection_idle_s: Seconds = 600.0
    handshake_s: Annotated[float, Meta(ge=1, le=120)] = 20.0

    @property
    def calls(self) -> RateLimit:
        return RateLimit(calls_per_second=self.calls_per_second, burst=self.calls_burst)


class Storage(_Section, frozen=True, kw_only=True):
    """`postgres` is a libpq connection string for hubs; absent means SQLite in the home directory."""

    postgres: Annotated[str, Meta(max_length=1_000)] | None = None


class Telemetry(_Section, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(_Section, frozen=True, kw_only=True):
    node: NodeDescription
    listen: Listen = Listen()
    portal: Portal = Portal()
    parent: Parent = Parent()
    sync: Sync = Sync()
    search: Search = Search()
    learners: Learners = Learners()
    limits: Limits = Limits()
    storage: Storage = Storage()
    telemetry: Telemetry = Telemetry()


def public_address(portal: Portal) -> str:
    """The pages' address that others can open; "" where only this machine can, or nobody has set one."""
    host = urlsplit(portal.address or "").hostname or ""
    is_near = not host or host == "localhost" or host.endswith(".localhost") or host == "::1" or host.startswith("127.")
    return "" if is_near else portal.address or ""


def read_settings(path: Path) -> Settings:
    """The settings in `path`; raises SettingsRejected naming the key at fault."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise SettingsRejected(str(path), f"larger than {FILE_BYTES_MAX} bytes")
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Settings)
    except FileNotFoundError as absent:
        raise SettingsRejected(str(path), "no such file; lln init or lln join writes it") from absent
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise SettingsRejected(str(path), f"not TOML: {broken}") from broken
    except msgspec.ValidationError as wrong:
        raise SettingsRejected(str(path), str(wrong)) from wrong
    except OSError as closed:
        raise SettingsRejected(str(path), closed.strerror or "cannot be read") from closed


def first_settings(node: NodeDescription, listen: Listen, parent: Parent, portal: Portal = NO_PORTAL) -> str:
    """The text of a first `config.toml`: the commented template of the node's level, filled in."""
    template = Template(_template_text(node.level))
    return template.substitute(
        node=_toml_lines(node),
        listen=_toml_lines(listen),
        parent=_toml_lines(parent),
        portal=_toml_lines(portal),
    )


def changed_settings(text: str, section: str, values: msgspec.Struct, keys: tuple[str, ...]) -> str:
    """The text of a `config.toml` with some keys of one section set, or taken out where the value is None; whatever
    else the operator has written stays as it is. Raises SettingsRejected where the outcome could not be read.
    """
    told = msgspec.to_builtins(values)
    wanted = {key: f"{key} = {_toml_value(told[key])}" for key in keys if told.get(key) is not None}
    lines: list[str] = []
    here, done = "", False
    for line in (*text.splitlines(), "["):
        opens = line.lstrip().startswith("[")
        if opens and here == section:
            lines.extend(wanted.values())
            done = True
        if opens:
            here = line.strip().strip("[]")
        if here != section or line.partition("=")[0].strip() not in keys:
            lines.append(line)
    if not done:
        lines[-1:] = [f"[{section}]", *wanted.values(), "["]
    changed = "\n".join(lines[:-1]) + "\n"
    try:
        msgspec.convert(tomllib.loads(changed), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as wrong:
        raise SettingsRejected(f"[{section}] {', '.join(keys)}", f"set them by hand: {wrong}") from wrong
    return changed


def _template_text(level: Level) -> str:
    return resources.files("config").joinpath("templates", f"{level}.toml").read_text(encoding="utf-8")


def _toml_lines(section: msgspec.Struct) -> str:
    """Plain `key = value` lines of one flat section; inline tables one level deep."""
    return "\n".join(
        f"{key} = {_toml_value(value)}" for key, value in msgspec.to_builtins(section).items() if value is not None
    )


def _toml_value(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return msgspec.json.encode(value).decode()  # a JSON string, number or boolean is TOML too
