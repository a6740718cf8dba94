"""Make the generated code under protos/lln/v1 from its .proto files, or say where the two have drifted apart.

    python -m protos.build            write the generated code
    python -m protos.build --check    change nothing; exit 1 and name each file that differs

protoc runs from the repository root with `-I .`, so that the generated modules import each other by their real names.
What must not live here: anything the program needs when it runs; grpcio-tools is a development dependency.
"""

import argparse
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOM = Path("protos/lln/v1")
GENERATED = "*_pb2*.py*"
OUTPUTS = ("python", "grpc_python", "mypy", "mypy_grpc")


class ProtocFailed(Exception):
    """protoc refused the .proto files; its own words are the message."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m protos.build", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="compare only, and exit 1 where anything differs")
    wanted = parser.parse_args()
    try:
        return check() if wanted.check else build()
    except ProtocFailed as failed:
        sys.stderr.write(f"protoc 失败 failed: {failed}\n")
        return 1


def build() -> int:
    """Write the generated code, and remove what no .proto asks for any more."""
    with tempfile.TemporaryDirectory(prefix="lln-protos-") as folder:
        fresh = generate(Path(folder))
        for name in sorted(committed().keys() - fresh.keys()):
            (ROOT / ROOM / name).unlink()
        changed = [name for name, text in fresh.items() if committed().get(name) != text]
        for name in changed:
            (ROOT / ROOM / name).write_bytes(fresh[name])
    sys.stdout.write(f"{len(fresh)} generated files, {len(changed)} changed\n")
    return 0


def check() -> int:
    """Compare what is committed with what the .proto files say now."""
    with tempfile.TemporaryDirectory(prefix="lln-protos-") as folder:
        fresh = generate(Path(folder))
    held = committed()
    drifted = sorted(name for name in held.keys() | fresh.keys() if held.get(name) != fresh.get(name))
    for name in drifted:
        reason = "missing" if name not in held else "no .proto makes it" if name not in fresh else "differs"
        sys.stdout.write(f"{(ROOM / name).as_posix()}: {reason}\n")
    if drifted:
        sys.stdout.write("生成的代码与 .proto 不一致。Generated code has drifted: run python -m protos.build\n")
        return 1
    sys.stdout.write(f"{len(fresh)} generated files match their .proto files\n")
    return 0


def committed() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (ROOT / ROOM).glob(GENERATED)}


def generate(folder: Path) -> dict[str, bytes]:
    """Run protoc into `folder`; the file names and bytes it wrote.

    Errors: ProtocFailed.
    """
    sources = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / ROOM).glob("*.proto"))
    if not sources:
        return {}
    plugins = [f"--plugin=protoc-gen-{name}={plugin(name)}" for name in ("mypy", "mypy_grpc")]
    outputs = [f"--{output}_out={folder}" for output in OUTPUTS]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *plugins, *outputs, *sources]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
    if told.returncode != 0:
        raise ProtocFailed(told.stderr.strip() or f"exit {told.returncode}")
    return {path.name: path.read_bytes() for path in (folder / ROOM).glob(GENERATED)}


def plugin(name: str) -> str:
    """A file protoc can start for this mypy-protobuf plugin, wherever this interpreter keeps its scripts."""
    found = shutil.which(f"protoc-gen-{name}", path=sysconfig.get_path("scripts"))
    if found is None:
        raise ProtocFailed(f"protoc-gen-{name} is not installed here; pip install mypy-protobuf")
    return found


if __name__ == "__main__":
    sys.exit(main())
