"""What architectures, networks and ONNX files look like, as columns of numbers."""

from collections.abc import Sequence
from pathlib import Path

from foretell.arch import Arch
from foretell.encodings import EncodingContext, Encodings, encode
from foretell.errors import UsageError
from foretell.graph import Graph
from foretell.spaces import Skeleton, Space
from foretell.studies.run.progress import OnProgress, Tracker, silent
from foretell.studies.run.workers import within

__all__ = ["describe"]


def describe(
    items: Sequence[Arch | str],
    encodings: str = "graf",
    *,
    space: Space,
    skeleton: Skeleton,
    timeout: float | None = None,
    on_progress: OnProgress = silent,
) -> Encodings:
    """Encodings that need no images, of architectures or of any networks.

    Where all items are architectures, their space says what they look like; beside networks and
    files, the networks of architectures are traced like the others.

    Args:
        items: architectures, places of functions such as ``my_net.py:small``, or .onnx files.
        encodings: names with "+" between; ``graf`` where there are networks or files.
        space: of the architectures.
        skeleton: what surrounds their genes, and what networks are built for.
        timeout: seconds that the tracing of one network may take.
        on_progress: told how many networks were traced.

    Raises:
        UsageError: an encoding needs scores, or more than a graph where there are networks.
        ForetellError: a name, a place, a file or a network is at fault.
    """
    names = [name.strip() for name in encodings.split("+")]
    if "scores" in names:
        raise UsageError("Scores need images: compute them with foretell score.")
    archs = [item for item in items if isinstance(item, Arch)]
    if len(archs) == len(items):
        context = EncodingContext(space, archs)
        if "costs" in names:
            from foretell.cost import costs

            context = EncodingContext(space, archs, costs(archs, skeleton))
        if "graf" not in names or space.graph_describes_network or not space.network:
            return encode(encodings, context)
    elif names != ["graf"]:
        raise UsageError(
            f"Networks and files have a graph and no genes: use --encoding graf for them, not "
            f"{encodings!r}."
        )
    else:
        context = EncodingContext(space, archs)
    found = []
    tell = Tracker(on_progress)
    tell("trace", 0, len(items))
    names_of_items = [space.format(i) if isinstance(i, Arch) else str(i) for i in items]
    for graph in within(timeout, lambda i: _traced(items[i], skeleton), names_of_items):
        found.append(graph)
        tell("trace", len(found), len(items))
    return encode(encodings, EncodingContext(space, context.archs, context.costs, graphs=found))


def _traced(item: Arch | str, skeleton: Skeleton) -> Graph:
    if isinstance(item, Arch):
        from foretell.tracing.archs import graphs

        return graphs([item], skeleton)[0]
    if Path(item).suffix == ".onnx":
        from foretell.tracing.onnx import read_onnx

        return read_onnx(item)
    from foretell.networks import build_module
    from foretell.tracing.module import trace

    shape, classes = skeleton.input_shape, skeleton.classes
    return trace(build_module(item, input_shape=shape, classes=classes, seed=0), shape)
