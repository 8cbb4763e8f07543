"""Whether an exported folder works elsewhere: ``train.py`` and ``load_best`` in a clean process.

The process is started once, with torch, and forks for each check: what a check imports is gone with
it. Neither the folder that the sources came from nor anything this process imported is there.
"""

import atexit
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from foretell.arch import Arch
from foretell.data import Task
from foretell.errors import ForetellError
from foretell.export.sources import source_of
from foretell.spaces import Skeleton
from foretell.training import loop, tensor_task
from foretell.types import Json

__all__ = ["check_best", "check_folder", "expected_outputs"]

SECONDS = 300.0
"""After this time a check is given up."""
_IMAGES = 4


def check_best(
    folder: str | Path, module: nn.Module, *, arch: Arch, skeleton: Skeleton, task: Task
) -> tuple[str, ...]:
    """What of an exported folder does not work, one sentence each; empty if all does.

    ``train.py`` trains a few steps, and ``load_best`` gives the network's outputs on a few images.

    Args:
        folder: that ``export_best`` wrote.
        module: the trained network.
        arch: what it was built from.
        skeleton: what surrounds it.
        task: what it was trained on.
    """
    return check_folder(folder, expected_outputs(module, task), arch=arch, skeleton=skeleton)


def check_folder(
    folder: str | Path, expected: tuple[Json, Json], *, arch: Arch, skeleton: Skeleton
) -> tuple[str, ...]:
    """The same where the network is in another process.

    Args:
        folder: that ``export_best`` wrote.
        expected: what ``expected_outputs`` gave there.
        arch: what the network was built from.
        skeleton: what surrounds it.
    """
    folder = Path(folder).resolve()
    source = source_of(arch, skeleton)
    roots = [] if source is None else [str(r) for r in source.roots]
    alone = source is not None and not source.space
    images, logits = expected
    request = {"folder": str(folder), "roots": roots}
    checks: tuple[tuple[str, dict[str, Json]], ...] = (
        ("train.py", {"what": "train", "without": alone}),
        ("load_best", {"what": "load", "images": images, "logits": logits}),
    )
    problems = []
    for name, extra in checks:
        why = _ask({**request, **extra})
        if why:
            problems.append(
                f"{name} of the exported folder does not work in a clean process: "
                f"{why.rstrip('.')}. {_advice(why)}"
            )
    return tuple(problems)


def _advice(why: str) -> str:
    if "ModuleNotFoundError" in why or "No module named" in why:
        return "Import it at the top of a file beside the builder's, or install it as a package."
    if "FileNotFoundError" in why:
        return "Keep what the builder needs in its code: other files are not copied."
    return "Mend the file that builds the network, then run again."


def expected_outputs(module: nn.Module, task: Task) -> tuple[Json, Json]:
    """A few raw images and the network's outputs; None for outputs that do not repeat."""
    tensors = tensor_task(task)
    raw = tensors.test.images[:_IMAGES]
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    x = loop.normalise(raw, tensors.mean, tensors.std).to(device)
    with loop.eval_mode(module), torch.no_grad():
        first, second = (module(x).detach().float().cpu() for _ in range(2))
    if not torch.equal(torch.nan_to_num(first), torch.nan_to_num(second)):
        return raw.tolist(), None
    return raw.tolist(), torch.nan_to_num(first).tolist()


def _ask(request: dict[str, Json]) -> str:
    """The answer of the clean process: empty, or what went wrong."""
    line = json.dumps(request).encode() + b"\n"
    if not hasattr(os, "fork"):  # one process for each check
        done = subprocess.run(
            [*_COMMAND, ""], input=line, env=_environment(), capture_output=True, check=False
        )
        return _answer(done.stdout)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS + 10)
        connection.connect(_address())
        connection.sendall(line)
        content = b""
        while part := connection.recv(65536):
            content += part
        return _answer(content)
    return _answer(b"")


def _answer(content: bytes) -> str:
    """What the clean process wrote."""
    if not content.strip():
        return f"the process ended before it could answer, or took more than {SECONDS:.0f} s"
    return str(json.loads(content.splitlines()[-1]))


_COMMAND = (sys.executable, "-c", "from foretell.export.check import serve; serve()")


def _environment() -> dict[str, str]:
    """That of this process, with foretell where this process has it."""
    here = str(Path(__file__).parents[2])
    path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*path, here])}


def _address() -> str:
    """Where the clean process listens; it is started if there is none, and ends with this one."""
    with _LOCK:
        if _SERVERS and os.path.exists(_SERVERS[-1].address):
            return _SERVERS[-1].address
        folder = tempfile.mkdtemp(prefix="foretell-")
        address = os.path.join(folder, "check")
        process = subprocess.Popen(
            [*_COMMAND, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=_environment(), cwd=folder,
        )  # fmt: skip
        _SERVERS.append(_Server(address, process))
        atexit.register(_end, process, os.getpid())
        assert process.stdout is not None
        process.stdout.readline()  # it listens
        return address


def _end(process: "subprocess.Popen[bytes]", owner: int) -> None:
    """Let the clean process end, and wait for it."""
    if os.getpid() == owner:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()


@dataclass(frozen=True)
class _Server:
    """A clean process that waits for checks; children of this process may ask it, too."""

    address: str
    process: "subprocess.Popen[bytes]"


_LOCK = threading.Lock()
_SERVERS: list[_Server] = []


def serve() -> None:
    """Answer requests, a line of JSON each, until there are no more; runs in the clean process."""
    address = sys.argv[-1]
    sys.path[:] = [p for p in sys.path if p and Path(p).resolve() != Path.cwd()]
    torch.set_num_threads(1)
    out = os.dup(1)
    os.dup2(2, 1)  # what a builder prints is no answer
    if not address:
        os.write(out, json.dumps(_checked(json.loads(sys.stdin.readline()))).encode())
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        os.write(out, b"ready\n")
        while True:
            ready, _, _ = select.select([0, listener.fileno()], [], [])
            if 0 in ready:  # the process that started this one is gone
                break
            connection, _ = listener.accept()
            with connection:
                if not os.fork():
                    _reply(connection, listener)
    shutil.rmtree(os.path.dirname(address), ignore_errors=True)


def _reply(connection: socket.socket, listener: socket.socket) -> None:
    """One check, in a process of its own that ends with it."""
    try:
        listener.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.alarm(int(SECONDS))
        with connection.makefile("rb") as lines:
            request = json.loads(lines.readline())
        connection.sendall(json.dumps(_checked(request)).encode())
    finally:
        os._exit(0)


def _checked(request: dict[str, Json]) -> str:
    """What went wrong, in the process of one check."""
    folder = Path(request["folder"])
    roots = {str(Path(r).resolve()) for r in request["roots"]}
    sys.path[:] = [p for p in sys.path if str(Path(p).resolve()) not in roots]
    try:
        with tempfile.TemporaryDirectory() as empty:
            os.chdir(empty)
            try:
                if request["what"] == "train":
                    _train(folder, bool(request["without"]))
                    return ""
                return _load(folder, request["images"], request["logits"])
            finally:
                os.chdir(folder)
    except SystemExit as error:
        return "" if not error.code else f"it exits with {error.code}"
    except BaseException as error:  # a user's code
        text = " ".join(str(error).split())[:1000]
        if isinstance(error, ForetellError):
            return text
        return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _train(folder: Path, without: bool) -> None:
    """Run ``train.py`` as a script would be; foretell is not there if it says it needs none."""
    import runpy

    if without:
        for name in [n for n in sys.modules if n.partition(".")[0] == "foretell"]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Absent())
    sys.argv[:] = ["train.py", "--check"]
    sys.path.insert(0, str(folder))
    runpy.run_path(str(folder / "train.py"), run_name="__main__")


class _Absent(MetaPathFinder):
    """Finds no foretell, as on a machine without it."""

    def find_spec(self, name: str, *_: object) -> None:
        """Raise for foretell.

        Raises:
            ModuleNotFoundError: always, for foretell.
        """
        if name.partition(".")[0] == "foretell":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _load(folder: Path, images: Json, logits: Json) -> str:
    from foretell.export.read import load_best

    network = load_best(folder, trust=True)
    info_dtype = torch.uint8 if _whole(images) else torch.float32
    raw: Tensor = torch.tensor(images, dtype=info_dtype)
    with torch.no_grad():
        got = torch.nan_to_num(network(raw).float()).numpy()
    if logits is None:
        return ""
    expected = np.asarray(logits, dtype=np.float32)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    if got.shape == expected.shape and np.allclose(got, expected, rtol=0, atol=1e-3 * scale):
        return ""
    return "its outputs are not those of the trained network"


def _whole(images: Json) -> bool:
    while isinstance(images, list) and images:
        images = images[0]
    return isinstance(images, int)
