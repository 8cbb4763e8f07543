"""Functions that the tests run in worker processes."""

import os
import signal
import sys
import threading
import time

from foretell.errors import ModuleRaisedError, NonFiniteLossError

LOADED = time.time()


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class CudaOutOfMemoryKindError(OutOfMemoryError):
    """Derived from one named as torch's."""


def square(payload):
    return payload * payload


def act(payload):
    """What the payload's first word says, with the rest as its argument."""
    word, *rest = payload if isinstance(payload, list) else [payload]
    return ACTIONS[word](*rest)


def _raise(name):
    raise RAISES[name]()


def _chain(name):
    try:
        _raise(name)
    except Exception as error:
        raise ModuleRaisedError("the module raised") from error


def _context(name):
    try:
        _raise(name)
    except Exception:
        raise ValueError("while handling it")  # noqa: B904


def _signal(number):
    os.kill(os.getpid(), number)
    time.sleep(30)


def _sleep(seconds):
    time.sleep(seconds)
    return seconds


def _deaf(seconds):
    """Busy, and deaf to polite requests, as code outside Python is."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def _die_while_sending(megabytes):
    threading.Thread(target=lambda: (time.sleep(0.02), os.kill(os.getpid(), 9))).start()
    return b"x" * (megabytes << 20)


def _devour(group, megabytes):
    """Join a control group with a memory limit, and take more than it allows."""
    with open(f"{group}/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))
    return len(bytearray(megabytes << 20))


def _die_once(path):
    """As if another process had killed it, the first time."""
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "again"


class _Closed:
    def __reduce__(self):
        raise ValueError("this cannot be pickled")


class _Broken:
    """Pickles, but does not come back."""

    def __reduce__(self):
        return _refuse, ()


def _refuse():
    raise LookupError("this cannot be unpickled")


RAISES = {
    "value": lambda: ValueError("bad genes"),
    "memory": lambda: MemoryError(),
    "torch": lambda: OutOfMemoryError("CUDA out of memory"),
    "derived": lambda: CudaOutOfMemoryKindError("CUDA out of memory"),
    "allocator": lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
    "enomem": lambda: OSError(12, "Cannot allocate memory"),
    "nan": lambda: NonFiniteLossError(3, float("nan")),
    "exit": lambda: SystemExit(3),
    "timeout": lambda: TimeoutError("the function's own"),
    "runtime": lambda: RuntimeError("no memory of that"),
}
ACTIONS = {
    "echo": lambda x: x,
    "raise": _raise,
    "chain": _chain,
    "context": _context,
    "signal": _signal,
    "exit": lambda code: os._exit(code),
    "sleep": _sleep,
    "deaf": _deaf,
    "pid": os.getpid,
    "loaded": lambda: LOADED,
    "threads": lambda: os.environ.get("OMP_NUM_THREADS"),
    "interrupt": lambda: signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    "torch": lambda: "torch" in sys.modules,
    "big": lambda n: "x" * n,
    "length": len,
    "closed": _Closed,
    "broken": _Broken,
    "devour": _devour,
    "die_once": _die_once,
    "eat": lambda size: len(bytearray(size)),
    "loads": lambda name: name in sys.modules,
    "die_while_sending": _die_while_sending,
    "nan": lambda: float("nan"),
}


class Adder:
    """A callable object that pickle can send."""

    def __init__(self, amount):
        self.amount = amount

    def __call__(self, payload):
        return payload + self.amount


number = 7
