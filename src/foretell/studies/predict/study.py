"""Learning from what was measured, ranking what was not, and saying why; in a run folder."""

import json
from collections.abc import Sequence
from dataclasses import replace as with_
from pathlib import Path

from msgspec.structs import replace

from foretell import __version__
from foretell.arch import Arch
from foretell.errors import RunFolderError, UnknownNameError, UsageError
from foretell.files import user_path
from foretell.spaces import Space, get_space, name_of
from foretell.store import State
from foretell.studies._base import NO_RESOURCES, MakeExecutor, Resources, fingerprint
from foretell.studies.evaluation.scoring import Scored, Scorer, score_all
from foretell.studies.predict.config import PredictConfig
from foretell.studies.predict.explain import explain_ranking
from foretell.studies.predict.rank import HeldOut, Ranking, Request, make_request, predict_values
from foretell.studies.predict.result import (
    Predicted,
    packed_explanation,
    packed_ranking,
    unpacked_explanation,
    unpacked_ranking,
)
from foretell.studies.run.damaged import refuses_damage
from foretell.studies.run.paths import absolute
from foretell.studies.run.progress import OnProgress, Tracker, silent
from foretell.studies.run.session import Session, open_session, reading, stored_settings
from foretell.tables import read_archs, read_values

__all__ = [
    "CONFIG",
    "HeldOut",
    "PredictConfig",
    "Predicted",
    "Ranking",
    "predict_values",
    "read",
    "run",
]

CONFIG = PredictConfig
"""The settings of this kind of study."""
_RANKING, _EXPLANATION = "ranking", "explanation"


def run(
    config: PredictConfig,
    out: Path | str,
    *,
    resources: Resources = NO_RESOURCES,
    executor: MakeExecutor | None = None,
    on_progress: OnProgress = silent,
) -> Predicted:
    """Predict and explain in a folder; proxies of every finished network are kept.

    Args:
        config: what to rank, and how.
        out: the run folder.
        resources: a space or images in memory.
        executor: what computes proxies; by default this process.
        on_progress: told how many networks are traced and scored, and how far explaining is.

    Raises:
        UsageError: an option has a value that cannot be used here.
        DataError: a file cannot be read.
        PredictorError: the values cannot be learned from.
        RunFolderError: the folder cannot be made or written, is in use, or holds another
            prediction.
        ForetellError: a name is at fault.
    """
    if resources.space is not None:
        config = replace(config, space=name_of(resources.space))
    config = replace(config, measured=absolute(config.measured), pool=absolute(config.pool))
    with open_session(config, out, on_progress) as session:
        config.check()
        request = _request(config, get_space(config.space), resources)
        identity = {
            "measured values": fingerprint([[str(a) for a in request.archs], request.y.tolist()]),
            "pool of architectures": fingerprint([str(a) for a in request.drawn]),
        }
        if resources.task is not None:
            identity["data fingerprint"] = resources.task.fingerprint
        session.claim(identity)
        found = _in_session(session, config, request, executor)
        session.write_tables(found.tables())
        if found.ranking is not None:
            session.folder.write_text("config.json", _settings(found.ranking, found.command))
        return found


@refuses_damage
def read(out: Path | str) -> Predicted:
    """The prediction in a folder, as far as it is.

    Raises:
        RunFolderError: the folder holds none.
    """
    with reading(out, CONFIG.KIND) as store:
        ranking, explanation = (store.value(CONFIG.KIND, k) for k in (_RANKING, _EXPLANATION))
        scored = store.counts(CONFIG.KIND).get(State.done, 0)
    config = CONFIG.from_json(stored_settings(out))
    command = config.command(user_path(out).resolve())
    if ranking is None:
        return Predicted(None, None, command, scored)
    space = _space(config.space, out)
    why = explanation["found"] if explanation is not None else None
    return Predicted(unpacked_ranking(ranking, space), unpacked_explanation(why, space), command)


def _space(name: str, out: Path | str) -> Space:
    """The space of a folder's architectures.

    Raises:
        RunFolderError: it was in the memory of another process.
    """
    try:
        return get_space(name)
    except UnknownNameError as error:
        raise RunFolderError(
            f"The architectures in {str(out)!r} are of the space {name!r}, which was in memory: "
            f"read the folder where that space is, or save it as my_space.py:space."
        ) from error


def _request(config: PredictConfig, space: Space, resources: Resources) -> Request:
    """Read the files, and check everything that can be checked before work begins."""
    if not config.measured:
        raise UsageError("Expected a file of measured architectures, but none was named.")
    archs, values, name = read_values(
        config.measured,
        space,
        config.column or None,
        arch=config.arch,
        duplicates=config.duplicates,
        skip_unknown=config.skip_unknown,
    )
    pool: list[Arch] | int = config.sample
    if config.pool:
        pool = read_archs(config.pool, space, arch=config.arch, skip_unknown=config.skip_unknown)
    task = resources.task
    if task is None and config.data:
        from foretell.data import load_task

        task = load_task(config.data, seed=config.seed)
    skeleton = space.skeleton(preset=config.preset)
    if task is not None:
        skeleton = space.skeleton(task.input_shape, task.classes, config.preset)
    named = replace(config, target=config.target or name)
    request = make_request(space, archs, values, pool, named, skeleton=skeleton, task=task)
    request.check()
    if request.scorer is None or resources.space is None:
        return request
    return with_(request, scorer=with_(request.scorer, in_memory=space))


def _in_session(
    session: Session, config: PredictConfig, request: Request, executor: MakeExecutor | None
) -> Predicted:
    """The stored prediction, or a new one, stored."""
    command = config.command(session.folder.path)
    ranking, explanation = session.value(_RANKING), session.value(_EXPLANATION)
    same = explanation is not None and explanation["explain"] == config.explain
    if ranking is not None and same:
        return Predicted(
            unpacked_ranking(ranking, request.space),
            unpacked_explanation(explanation["found"], request.space),
            command,
        )

    def score(scorer: Scorer, archs: Sequence[Arch], tell: Tracker) -> Scored:
        return score_all(scorer, archs, tell, session=session, executor=executor)

    found = request.rank(session.tell, score)
    session.put(_RANKING, packed_ranking(found))
    why = explain_ranking(found, config.explain, on_progress=session.on_progress)
    session.put(_EXPLANATION, {"explain": config.explain, "found": packed_explanation(why)})
    return Predicted(found, why, command)


def _settings(ranking: Ranking, command: str) -> str:
    """Everything that repeats the prediction, as JSON."""
    settings = {
        "foretell": __version__,
        "command": command,
        **ranking.config.to_json(),
        "encodings": ranking.encodings,
        "trained_on": ranking.measured,
        "ranked": len(ranking.archs),
    }
    return json.dumps(settings, indent=2) + "\n"
