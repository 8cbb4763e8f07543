"""Learning from measured architectures and ranking others."""

import numpy as np
import pytest

from foretell.data import load_task
from foretell.errors import PredictorError, UnknownNameError, UsageError
from foretell.metrics import kendall
from foretell.spaces import get_space
from foretell.studies.predict.study import PredictConfig, predict_values


@pytest.fixture(scope="module")
def cells():
    space = get_space("nb201")
    rng = np.random.default_rng(3)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(160)))
    costs = space.costs(archs, space.skeleton())
    return space, archs, np.log10(costs.live_params + 1.0)


def test_a_ranking_is_in_order_and_right(cells):
    space, archs, y = cells
    truth = dict(zip(archs, y, strict=True))
    config = PredictConfig("gp")
    found = predict_values(space, archs[:60], y[:60], archs, config)
    assert set(found.archs) == set(archs[60:])
    assert (np.diff(found.mean) <= 0).all()
    assert (found.low <= found.mean).all()
    assert (found.high >= found.mean).all()
    assert float(kendall(found.mean, [truth[a] for a in found.archs])) > 0.9
    assert float(found.held_out) > 0.8
    assert found.held_out.n == found.measured == 60
    assert found.encodings == "graf+costs+onehot"
    lower = predict_values(
        space, archs[:60], y[:60], archs, PredictConfig("gp", higher_is_better=False, level=0)
    )
    assert (np.diff(lower.mean) >= 0).all()
    assert np.isnan(lower.low).all()


@pytest.mark.parametrize("name", ["nb101", "darts"])
def test_spaces_without_networks_have_no_costs(name):
    space = get_space(name)
    rng = np.random.default_rng(4)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(80)))[:40]
    y = [space.format(a).count("conv3x3") + space.format(a).count("conv_3x3") for a in archs]
    found = predict_values(space, archs, y, 20, PredictConfig("bayes_linear"))
    assert found.encodings == "graf+onehot"
    assert np.isnan(found.baseline.value)
    assert float(found.held_out) > 0.5


def test_a_pool_is_drawn_without_what_was_measured(cells):
    space, archs, y = cells
    found = predict_values(space, archs[:30], y[:30], 50, PredictConfig("bayes_linear"))
    assert len(found.archs) == 50
    assert not set(found.archs) & set(archs[:30])
    again = predict_values(space, archs[:30], y[:30], 50, PredictConfig("bayes_linear"))
    assert found.archs == again.archs
    np.testing.assert_array_equal(found.mean, again.mean)


def test_proxies_are_inputs(cells):
    space, archs, y = cells
    config = PredictConfig("gp", proxies=("grad_norm", "nwot"))
    told = []
    found = predict_values(
        space,
        archs[:20],
        y[:20],
        archs[20:26],
        config,
        task=load_task("digits"),
        on_progress=lambda p: told.append((p.stage, p.done, p.total)),
    )
    assert found.encodings == "graf+costs+scores+onehot"
    assert told[-1] == ("score", 26, 26)


def test_auto_says_what_it_chose(cells):
    space, archs, y = cells
    found = predict_values(space, archs[:40], y[:40], archs[40:50])
    assert found.predictor == "auto"
    assert "gp" in found.why


def test_what_cannot_be_used_is_refused(cells):
    space, archs, y = cells
    with pytest.raises(PredictorError, match="two values"):
        predict_values(space, [*archs[:20], archs[0]], y[:21], 10)
    with pytest.raises(PredictorError, match="20 values"):
        predict_values(space, archs[:20], y[:21], 10)
    with pytest.raises(UsageError, match="nothing to rank"):
        predict_values(space, archs[:20], y[:20], archs[:20], PredictConfig("gp"))
    with pytest.raises(UsageError, match="images"):
        predict_values(space, archs[:20], y[:20], 10, PredictConfig(proxies=("nwot",)))
    with pytest.raises(UnknownNameError):
        predict_values(space, archs[:20], y[:20], 10, PredictConfig("oracle"))
    with pytest.raises(UnknownNameError):
        predict_values(space, archs[:20], y[:20], 10, PredictConfig("gp", encodings="tea leaves"))
    with pytest.raises(UsageError, match="scores"):
        predict_values(space, archs[:20], y[:20], 10, PredictConfig("gp", encodings="scores"))
    with pytest.raises(UsageError, match="twice"):
        predict_values(space, archs[:20], y[:20], 10, PredictConfig("gp", encodings="graf+graf"))
