"""Which part of a result belongs to which image, wherever the batch axis is.

One image of a batch is changed, and what changes with it is its part.
"""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Layout", "layout_of"]


@dataclass(frozen=True)
class Layout:
    """Which axis of a result has the images.

    Args:
        axis: that axis; None where the result is the same for every image.
        groups: how many values of an image lie on it.
        outer: the groups are the outer part of the axis, the images the inner one.
    """

    axis: int | None = 0
    groups: int = 1
    outer: bool = False

    def rows(self, x: Tensor, images: int) -> Tensor:
        """The same with the images first, (images, ...); the groups come right after them.

        Args:
            x: the result.
            images: in the batch.
        """
        if self.axis is None:
            return x.unsqueeze(0).expand(images, *x.shape)
        if self.groups == 1:
            return x.movedim(self.axis, 0)
        sizes = (self.groups, images) if self.outer else (images, self.groups)
        shape = x.shape
        wide = x.reshape(*shape[: self.axis], *sizes, *shape[self.axis + 1 :])
        return wide.movedim((self.axis + self.outer, self.axis + (not self.outer)), (0, 1))

    def axis_after(self, axis: int) -> int:
        """Where an axis other than that of the images is in ``rows``."""
        if self.axis is None:
            return axis + 1
        return axis + (axis < self.axis) + (self.groups > 1)


def layout_of(
    before: Tensor, after: Tensor, shape: tuple[int, ...], small: int, images: int
) -> Layout | None:
    """The layout of a result, or None where it mixes the images.

    Args:
        before: the result for a batch of ``small`` images.
        after: the same after the second of them was changed.
        shape: of the result for the whole batch.
        small: images in the small batch.
        images: in the whole batch.
    """
    same = (before == after) | ((before != before) & (after != after))
    changed = ~same
    candidates = []
    for axis, size in enumerate(before.shape):
        groups = size // small
        rest = before.shape[:axis] + before.shape[axis + 1 :]
        if size % small or shape != (*rest[:axis], groups * images, *rest[axis:]):
            continue
        candidates += [
            Layout(axis, groups, outer) for outer in ((False, True) if groups > 1 else (False,))
        ]
    if not bool(changed.any()):
        if tuple(before.shape) == shape:
            return Layout(None)
        return candidates[0] if len(candidates) == 1 else None
    fitting = []
    for layout in candidates:
        moved = layout.rows(changed, small).flatten(1).any(1).tolist()
        if moved == [i == 1 for i in range(small)]:
            fitting.append(layout)
    return fitting[0] if len(fitting) == 1 else None
