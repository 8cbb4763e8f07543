"""What a prediction in a folder leaves, and how it is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from foretell.arch import Arch
from foretell.encodings import EncodingContext
from foretell.predictors import Prediction
from foretell.spaces import CostTable, Space
from foretell.studies.predict.explain import Explanation
from foretell.studies.predict.fitted import Shown
from foretell.studies.predict.rank import Ranking
from foretell.studies.run.values import pack, unpack
from foretell.types import Json

__all__ = [
    "Predicted",
    "packed_explanation",
    "packed_ranking",
    "unpacked_explanation",
    "unpacked_ranking",
]


@dataclass(frozen=True)
class Predicted:
    """A ranking and why it is as it is.

    Args:
        ranking: what was predicted; None while proxies are computed.
        explanation: why; without any explained architecture while that is computed, and None as
            long as nothing is predicted.
        command: what repeats it.
        scored: networks whose proxies are computed, where nothing is predicted yet.
    """

    ranking: Ranking | None
    explanation: Explanation | None
    command: str
    scored: int = 0

    def tables(self) -> dict[str, Mapping[str, Sequence[object]]]:
        """The ranking, the measured architectures, and what explains both."""
        ranking, explanation = self.ranking, self.explanation
        if ranking is None or explanation is None:
            return {}
        learned, space = ranking.learned, explanation.space
        return {
            "predictions": {
                "place": range(1, len(ranking.archs) + 1),
                "arch": [space.format(a) for a in ranking.archs],
                "predicted": ranking.mean.tolist(),
                "low": ranking.low.tolist(),
                "high": ranking.high.tolist(),
            },
            "held_out": {
                "arch": [space.format(a) for a in learned.archs],
                "measured": learned.values.tolist(),
                "predicted": learned.mean.tolist(),
                "low": learned.low.tolist(),
                "high": learned.high.tolist(),
            },
            "families": explanation.by_family(),
            "reasons": explanation.reasons(),
            "edits": explanation.edits(),
        }


def packed_ranking(ranking: Ranking) -> Json:
    """A ranking as JSON, without the predictor."""
    shown = ranking.fitted
    context = {
        "archs_shown": tuple(shown.context.archs),
        "costs": shown.context.costs,
        "held_out_shown": shown.held_out,
    }
    return pack({**_fields_of(ranking, "fitted"), **context})


def unpacked_ranking(data: Json, space: Space) -> Ranking:
    """What ``packed_ranking`` was given; its architectures can be looked at, but nothing more.

    Args:
        data: what it returned.
        space: of the architectures.

    Raises:
        StoreError: the data are of another version of foretell.
    """
    archs = unpack(data["archs_shown"], tuple[Arch, ...])
    costs = None if data["costs"] is None else unpack(data["costs"], CostTable)
    held_out = unpack(data["held_out_shown"], Prediction)
    shown = Shown(EncodingContext(space, archs, costs), held_out)
    return Ranking(**_unpacked(Ranking, data, "fitted"), fitted=shown)


def packed_explanation(explanation: Explanation) -> Json:
    """An explanation as JSON."""
    return pack(_fields_of(explanation, "space"))


def unpacked_explanation(data: Json, space: Space) -> Explanation:
    """What ``packed_explanation`` was given.

    Args:
        data: what it returned; None for an explanation that was not made yet.
        space: of the architectures.

    Raises:
        StoreError: the data are of another version of foretell.
    """
    if data is None:
        waiting = "Explanations are not there yet: they are being computed, or were stopped."
        return Explanation(space, (), None, None, None, False, (waiting,))
    return Explanation(space=space, **_unpacked(Explanation, data, "space"))


def _fields_of(value: Any, but: str) -> dict[str, object]:
    return {f.name: getattr(value, f.name) for f in fields(value) if f.name != but}


def _unpacked(kind: type[Any], data: Json, but: str) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: unpack(data[f.name], hints[f.name]) for f in fields(kind) if f.name != but}
