"""The base of what watches the operations of a forward."""

from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Watching"]


class Watching(TorchDispatchMode):
    """A mode whose ``__torch_dispatch__`` is called as it is.

    torch wraps it so that its compiler stays out, and imports that compiler with the first
    operation: seconds, and microseconds with each operation. What watches here switches compiled
    code off itself, where there may be any.
    """

    def __init_subclass__(cls) -> None:
        """Nothing is done to it."""
        super().__init_subclass__()  # type: ignore[no-untyped-call]

    def __init__(self) -> None:
        """Start."""
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
