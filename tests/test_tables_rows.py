"""Rows of measured architectures: what is unknown, double, empty, equal or of mixed units."""

import json
import warnings

import numpy as np
import pytest

from foretell.benchmarks.importers import read_benchmark
from foretell.errors import ArchError, DataError, DataWarning, TableFormatError, UsageError
from foretell.spaces import get_space
from foretell.spaces.rows import check_units, merge
from foretell.tables import read_archs, read_values

SPACE = get_space("nb201")
ARCHS = [SPACE.sample(np.random.default_rng(i)) for i in range(6)]
TEXTS = [SPACE.format(a) for a in ARCHS]


def save(path, header, rows, encoding="utf-8"):
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def values_of(path, **options):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        archs, values, name = read_values(path, SPACE, **options)
    return archs, values.tolist(), name, [str(w.message) for w in said]


def table_of(path, **options):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        table = read_benchmark("csv", path, **options)
    return table, [str(w.message) for w in said]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    rows = [(t, i) for i, t in enumerate(TEXTS)]
    path = save(tmp_path / "a.csv", "arch,accuracy", rows, "utf-8-sig")
    assert values_of(path) == (ARCHS, [0, 1, 2, 3, 4, 5], "accuracy", [])
    assert read_archs(path, SPACE) == ARCHS
    text = tmp_path / "a.txt"
    text.write_text("\n".join(TEXTS), encoding="utf-8-sig")
    assert read_archs(text, SPACE) == ARCHS
    lines = tmp_path / "a.jsonl"
    lines.write_text(json.dumps({"arch": TEXTS[0], "x": 1}), encoding="utf-8-sig")
    assert values_of(lines)[1] == [1]
    assert read_benchmark("csv", path).space == "nb201"


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = save(tmp_path / "a.csv", "arch,x,x", [(TEXTS[0], 1, 2)])
    with pytest.raises(DataError, match="two columns are called 'x'"):
        read_values(path, SPACE)
    with pytest.raises(TableFormatError, match="two columns of one name"):
        read_benchmark("csv", path)
    lines = tmp_path / "a.jsonl"
    lines.write_text(f'{{"arch": "{TEXTS[0]}", "x": 1, "x": 2}}')
    with pytest.raises(DataError, match="two values of one name"):
        read_values(lines, SPACE)


def test_empty_cells_leave_their_rows_out_and_that_is_said(tmp_path):
    cells = ["0.5", "", "nan", "0.25", " N/A ", "-"]
    path = save(tmp_path / "a.csv", "arch,x", zip(TEXTS, cells, strict=True))
    archs, values, _, said = values_of(path)
    assert (archs, values) == ([ARCHS[0], ARCHS[3]], [0.5, 0.25])
    assert said == ["4 rows of a.csv have no x and are left out (rows 3, 4, 6, 7)."]
    nothing = save(tmp_path / "b.csv", "arch,x", [(t, "") for t in TEXTS])
    with pytest.raises(DataError, match="no value in the column 'x'"):
        read_values(nothing, SPACE, "x")


def test_cells_that_are_no_numbers_are_named_together(tmp_path):
    cells = ["0.5", "fast", "inf", "1_000", "0.25", "0.75"]
    path = save(tmp_path / "a.csv", "arch,x", zip(TEXTS, cells, strict=True))
    with pytest.raises(DataError, match=r"no number in 3 of 6 rows of a\.csv \(rows 3, 4, 5\)"):
        read_values(path, SPACE, "x")
    odd = save(tmp_path / "b.csv", "arch,x", [(TEXTS[0], 1), (TEXTS[1],), (TEXTS[2], 1, 2)])
    with pytest.raises(DataError, match="rows 3, 4 of it have another number of cells"):
        read_values(odd, SPACE)
    lines = tmp_path / "a.jsonl"
    lines.write_text("\n".join(json.dumps({"arch": t, "x": [1]}) for t in TEXTS))
    with pytest.raises(DataError, match="6 of 6 rows"):
        read_values(lines, SPACE, "x")


def test_rows_of_json_may_lack_a_value(tmp_path):
    lines = tmp_path / "a.jsonl"
    rows = [{"arch": TEXTS[0], "x": 1}, {"arch": TEXTS[1]}, {"x": 4, "arch": TEXTS[2]}]
    lines.write_text("\n".join(map(json.dumps, rows)))
    archs, values, _, said = values_of(lines)
    assert (archs, values) == ([ARCHS[0], ARCHS[2]], [1, 4])
    assert "(row 2)" in said[0]
    lines.write_text("[" * 100_000)
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_values(lines, SPACE)
    with pytest.raises(DataError):
        read_archs(lines.rename(tmp_path / "b.json"), SPACE)


@pytest.mark.parametrize("how", ["mean", "first"])
def test_duplicates_are_merged_alike_by_predict_and_import(tmp_path, how):
    cells = [90.0, 80.0, 70.0, 60.0, 30.0]
    texts = [TEXTS[0], TEXTS[1], TEXTS[0], TEXTS[2], TEXTS[0]]
    path = save(tmp_path / "a.csv", "arch,val_acc", zip(texts, cells, strict=True))
    with pytest.raises(DataError, match=r"2 rows of a\.csv .* \(rows 4, 6\).*--duplicates"):
        read_values(path, SPACE)
    with pytest.raises(TableFormatError, match="--duplicates"):
        read_benchmark("csv", path)
    expected = [(90 + 70 + 30) / 3 if how == "mean" else 90, 80, 60]
    archs, values, _, said = values_of(path, duplicates=how)
    assert archs == ARCHS[:3]
    np.testing.assert_allclose(values, expected)
    assert "rows 4, 6" in said[0]
    for space in (None, "nb201"):
        table, said = table_of(path, duplicates=how, space=space)
        assert table.texts == TEXTS[:3]
        np.testing.assert_allclose(table.values["val_accuracy"].ravel(), expected)
        assert "rows 4, 6" in said[0]


def test_two_texts_of_one_architecture_are_duplicates(tmp_path):
    dotted = ".".join(map(str, ARCHS[0].genes))
    path = save(tmp_path / "a.csv", "arch,x", [(TEXTS[0], 1), (dotted, 2), (TEXTS[1], 5)])
    assert values_of(path, duplicates="mean")[1] == [1.5, 5]
    table, _ = table_of(path, duplicates="mean", space="nb201")
    assert table.values["x"].ravel().tolist() == [1.5, 5]


def test_seeds_are_no_duplicates_of_one_another(tmp_path):
    rows = [(TEXTS[0], 1, 0.5), (TEXTS[0], 2, 0.7), (TEXTS[0], 2, 0.9), (TEXTS[1], 1, 0.1)]
    path = save(tmp_path / "a.csv", "arch,seed,x", rows)
    table, said = table_of(path, duplicates="mean")
    assert table.metrics["x"].seeds == (1, 2)
    np.testing.assert_allclose(table.values["x"][0, :, 0], [0.5, 0.8])
    assert "(row 4)" in said[0]


def test_unknown_architectures_are_named_together_or_skipped(tmp_path):
    texts = [TEXTS[0], "nothing", TEXTS[1], "", TEXTS[2]]
    path = save(tmp_path / "a.csv", "arch,x", zip(texts, [5, 1, 2, 3, 4], strict=True))
    with pytest.raises(ArchError, match=r"2 of 5 entries of a\.csv \(rows 3, 5\).*--skip-unknown"):
        read_values(path, SPACE)
    with pytest.raises(ArchError, match=r"rows 3, 5"):
        read_archs(path, SPACE)
    archs, values, _, said = values_of(path, skip_unknown=True)
    assert (archs, values) == (ARCHS[:3], [5, 2, 4])
    assert "rows 3, 5" in said[0]
    with pytest.warns(DataWarning, match="left out"):
        assert read_archs(path, SPACE, skip_unknown=True) == ARCHS[:3]
    with pytest.raises(TableFormatError, match="'arch' is empty in row 5"):
        read_benchmark("csv", path, space="nb201")
    with pytest.raises(UsageError, match="name it"):
        read_benchmark("csv", path, skip_unknown=True)
    table, said = table_of(path, skip_unknown=True, space="nb201")
    assert table.texts == TEXTS[:3]
    assert "rows 3, 5" in said[0]
    only = save(tmp_path / "b.csv", "arch,x", [("a", 1), ("b", 2)])
    with pytest.raises(ArchError, match="2 of 2"):
        read_values(only, SPACE, skip_unknown=True)
    with pytest.raises(ArchError, match="2 of 2"):
        read_benchmark("csv", only, space="nb201")
    with pytest.raises(UsageError, match="skip-unknown"):
        read_benchmark("hw-nas", only, skip_unknown=True)


def test_the_column_of_architectures_can_be_named(tmp_path):
    rows = [(i, t) for i, t in enumerate(TEXTS)]
    path = save(tmp_path / "a.csv", "x,cell", rows)
    with pytest.raises(DataError, match=r"no column 'arch' but 'x', 'cell'.*--arch"):
        read_values(path, SPACE)
    assert values_of(path, arch="cell")[:3] == (ARCHS, [0, 1, 2, 3, 4, 5], "x")
    assert read_archs(path, SPACE, arch="cell") == ARCHS


def test_fractions_among_per_cents_are_said(tmp_path):
    cells = [93.1, 0.93, 92.0, 91.5, 95.0, 90.0]
    path = save(tmp_path / "a.csv", "arch,val_acc", zip(TEXTS, cells, strict=True))
    for said in (values_of(path)[3], table_of(path)[1]):
        assert said[0].startswith("1 of 6 values of val_acc in a.csv (row 3) lie between 0 and 1")
    # chance level in per cent of a data set with many classes is no fraction
    low = np.array([46.0, 0.83, 30.0, 44.1])
    assert check_units(low, range(4), "x") == ""
    assert check_units(np.array([0.9, 0.8, 0.93]), range(3), "x") == ""
    assert check_units(np.array([0.5, 200.0, 300.0, 50.0]), range(4), "x") == ""
    assert check_units(np.array([np.nan, 0.5, 60.0, 40.0]), [4, 5, 6, 7], "x").startswith("1 of 3")


def test_values_that_are_all_equal_teach_nothing(tmp_path):
    path = save(tmp_path / "a.csv", "arch,val_acc", [(t, 0.5) for t in TEXTS])
    with pytest.raises(DataError, match=r"All 6 values of val_acc in a\.csv are 0\.5"):
        read_values(path, SPACE)
    assert table_of(path)[1] == ["All 6 values of val_acc in a.csv are 0.5."]


def test_merging_is_that_of_plain_python():
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 9, 40).tolist()
    values = np.where(rng.random((40, 3)) < 0.2, np.nan, rng.normal(size=(40, 3)))
    order = list(dict.fromkeys(keys))
    first, mean, double = merge(keys, values, range(100, 140), "mean")
    assert first.tolist() == [keys.index(k) for k in order]
    assert double == [100 + i for i, k in enumerate(keys) if k in keys[:i]]
    for row, key in zip(mean, order, strict=True):
        for column in range(3):
            here = [values[i, column] for i in range(40) if keys[i] == key]
            here = [v for v in here if v == v]
            assert row[column] == pytest.approx(np.mean(here) if here else np.nan, nan_ok=True)
    np.testing.assert_array_equal(merge(keys, values, range(40), "first")[1], values[first])
    assert merge(keys, values, range(40), "refuse")[1] is values


def test_the_command_line_takes_these_options(tmp_path, capsys):
    from foretell.cli import main

    rng = np.random.default_rng(1)
    many = list(dict.fromkeys(SPACE.sample(rng) for _ in range(40)))
    rows = [(SPACE.format(a), sum(a.genes) + 0.5) for a in many]
    rows += [rows[0], ("nothing", 3.0)]
    path = save(tmp_path / "a.csv", "cell,x", rows)
    words = ["predict", str(path), "--arch", "cell", "--sample", "3", "--predictor", "bayes_linear"]
    for extra, code in (([], 2), (["--skip-unknown", "--duplicates", "mean"], 0)):
        with pytest.raises(SystemExit) as ended:
            main([*words, *extra, "--quiet"])
        assert ended.value.code == code
    said = capsys.readouterr().err
    assert "warning: 1 of 42 entries of a.csv (row 43)" in said
    out = tmp_path / "t.foretell"
    words = ["benchmark", "import", "csv", str(path), "--arch", "cell", "--space", "nb201"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--skip-unknown", "--duplicates", "first", "--out", str(out), "--quiet"])
    assert ended.value.code == 0
    assert "40 architectures" in capsys.readouterr().out


def test_a_command_repeats_its_options():
    from foretell.studies.predict.config import PredictConfig

    config = PredictConfig(measured="a.csv", arch="cell", duplicates="mean", skip_unknown=True)
    assert "--arch cell --duplicates mean --skip-unknown" in config.command("out")
    assert "--arch" not in PredictConfig(measured="a.csv").command("out")
