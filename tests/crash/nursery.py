"""Where processes under test are born: one interpreter that has loaded everything forks a real `lln` for each.

A fork is a process of its own, killed and started like any other, and is ready in a fraction of the time that loading
takes. Lines of JSON come in: `{"id", "words", "log", "points": [folder, report, kill_at, later_s, durable], "quirks"}`
starts `lln WORDS`, and lines go out: `{"id", "pid"}`, then `{"id", "ended"}` with the exit status, negative for a
signal. What must not live here: when to kill (`points.py`), or what for (`world.py`).

Quirks stand for times that no test can wait for: `renew`: every certificate is due; `worth`: every renewal is worth an
entry; `later schema`: the program knows one migration more.
"""

import json
import os
import select
import signal
import sys
from pathlib import Path

POLL_S = 0.005


def main() -> None:
    _load()
    waiting: dict[int, int] = {}
    unread = b""
    while True:
        ready, _, _ = select.select([0], [], [], POLL_S)
        if ready:
            told = os.read(0, 65_536)
            if not told:
                break
            *lines, unread = (unread + told).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _become(asked)
                waiting[pid] = asked["id"]
                _say({"id": asked["id"], "pid": pid})
        while waiting:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            _say({"id": waiting.pop(pid), "ended": os.waitstatus_to_exitcode(status)})
    for pid in waiting:
        os.kill(pid, signal.SIGKILL)


def _load() -> None:
    """Everything a node needs; nothing of it may start a thread."""
    import node.backups  # noqa: PLC0415
    import node.beginnings  # noqa: PLC0415
    import node.checking  # noqa: PLC0415
    import node.cli.backups  # noqa: PLC0415
    import node.cli.health  # noqa: PLC0415
    import node.cli.moving  # noqa: PLC0415
    import node.cli.nodes  # noqa: PLC0415
    import node.runtime  # noqa: PLC0415
    from node.index.folding import standard_analysis  # noqa: PLC0415

    standard_analysis()
    assert node.runtime, node.cli.nodes
    _say({"id": 0, "pid": os.getpid()})


def _say(told: dict) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def _become(asked: dict) -> None:
    """The forked process: an `lln` that is watched, and then nothing."""
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    status = 1
    try:
        _be_quirky(asked.get("quirks", ()))
        if asked.get("points"):
            from tests.crash.points import Points  # noqa: PLC0415

            folder, report, kill_at, later_s, durable = asked["points"]
            Points(Path(folder), Path(report), kill_at, later_s, Path(durable) if durable else None).install()
        from node.cli.main import main as lln  # noqa: PLC0415

        lln(asked["words"], standalone_mode=True)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  # it is what is looked for: a traceback in the log, which the world reads
        import traceback  # noqa: PLC0415

        traceback.print_exc()
        status = 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _be_quirky(quirks: list[str]) -> None:
    from node.storage import migrations  # noqa: PLC0415
    from node.usecases import admitting, meeting  # noqa: PLC0415

    if "renew" in quirks:
        meeting.renewal_due_ms = lambda _: 0
    if "worth" in quirks:
        admitting._is_worth_it = lambda *_: True
    if "later schema" in quirks:
        known = [*migrations.for_sqlite(), "CREATE TABLE later (x INTEGER) STRICT;\nINSERT INTO later VALUES (1);"]
        migrations.for_sqlite = lambda: known


if __name__ == "__main__":
    main()
