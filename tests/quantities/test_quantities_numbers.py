"""Numbers with the suffixes of a unit: what is read, and that what is written is read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.errors import UsageError
from foretell.quantities import UNITS, Quantity

EVERY = [*UNITS, "nats", "J", ""]
NUMBERS = st.floats(0, 1e15, allow_subnormal=False)


@pytest.mark.parametrize(
    ("unit", "text", "value"),
    [
        ("count", "300k", 3e5),
        ("count", " 1.5 M ", 1.5e6),
        ("count", "2g", 2e9),
        ("count", "1T", 1e12),
        ("count", "7", 7),
        ("bytes", "1KiB", 1024),
        ("bytes", "1kb", 1000),
        ("bytes", "1.5MiB", 1.5 * 2**20),
        ("bytes", "2GiB", 2**31),
        ("bytes", "12B", 12),
        ("s", "4ms", 0.004),
        ("s", "250us", 0.00025),
        ("s", "1.5S", 1.5),
        ("fraction", "60%", 0.6),
        ("fraction", ".6", 0.6),
        ("nats", "0.3", 0.3),
        ("J", "2k", 2000),
        ("", "1e-3", 0.001),
    ],
)
def test_numbers_that_are_read(unit, text, value):
    assert Quantity("q", unit).parse(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("unit", "text", "word"),
    [
        ("count", "5MB", "k, M, G, T"),
        ("count", "5%", "k, M, G, T"),
        ("bytes", "5ms", "KiB"),
        ("s", "4", "us, ms, s and cannot stand without one"),
        ("s", "4min", "us, ms, s"),
        ("fraction", "6k", "%"),
        ("nats", "3s", "k, M, G, T"),
        ("count", "many", "'many'"),
        ("count", "", "''"),
        ("count", "-5", "'-5'"),
        ("count", "nan", "'nan'"),
        ("count", "inf", "'inf'"),
        ("count", "1,000", "'1,000'"),
        ("count", "1 2", "'1 2'"),
    ],
)
def test_numbers_that_are_refused(unit, text, word):
    with pytest.raises(UsageError) as caught:
        Quantity("q", unit).parse(text)
    assert word in str(caught.value)


@pytest.mark.parametrize("unit", EVERY)
@given(value=NUMBERS)
def test_what_is_written_is_read_again(unit, value):
    quantity = Quantity("q", unit)
    assert quantity.parse(quantity.format(value)) == pytest.approx(value, rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("unit", EVERY)
@given(value=NUMBERS, data=st.data())
def test_a_suffix_multiplies(unit, value, data):
    factors = UNITS.get(unit, UNITS["count"])
    suffix = data.draw(st.sampled_from(sorted(factors)))
    written = f"{value!r}{data.draw(st.sampled_from([suffix, suffix.upper()]))}"
    assert Quantity("q", unit).parse(written) == value * factors[suffix]


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("count", 3e5, "300000"),
        ("fraction", 0.6, "60%"),
        ("fraction", 0.125, "12.5%"),
        ("s", 0.004, "4ms"),
        ("s", 0.0000652, "65.2us"),
        ("s", 1.5, "1.5s"),
        ("bytes", 65536, "65536"),
        ("nats", 0.3, "0.3"),
    ],
)
def test_numbers_as_they_are_written(unit, value, text):
    assert Quantity("q", unit).format(value) == text
