"""Numbers as people read them; NaN is a dash."""

import math
import re

from markupsafe import Markup

__all__ = [
    "DASH",
    "amount",
    "duration",
    "inline",
    "joints",
    "many",
    "percent",
    "plain",
    "quantity",
    "shape",
    "signed",
    "size",
    "stacked",
]

DASH = "–"
"""Stands where there is no finite number."""


def percent(value: float, digits: int = 2) -> str:
    """An accuracy in [0, 1] as per cent.

    >>> percent(0.98888), percent(float("nan"))
    ('98.89 %', '–')
    """
    return f"{100 * value:.{digits}f} %" if math.isfinite(value) else DASH


def amount(value: float) -> str:
    """A count with three digits and k, M or G.

    >>> amount(71_234), amount(4_560_000), amount(812), amount(1_000_000)
    ('71.2k', '4.56M', '812', '1M')
    """
    if not math.isfinite(value):
        return DASH
    for unit, text in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * unit:
            return _three(value / unit) + text
    return _three(value)


def size(value: float) -> str:
    """Bytes, in powers of 1,024.

    >>> size(131_072), size(900)
    ('128 KiB', '900 B')
    """
    if not math.isfinite(value):
        return DASH
    for unit, text in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if abs(value) >= 0.9995 * unit:
            return f"{_three(value / unit)} {text}"
    return f"{value:.0f} B"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours.

    >>> duration(0.0421), duration(7.31), duration(102), duration(7_260)
    ('42 ms', '7.3 s', '1 min 42 s', '2 h 1 min')
    """
    if not math.isfinite(seconds):
        return DASH
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def signed(value: float, digits: int = 2) -> str:
    """A correlation, with a true minus sign.

    >>> signed(0.614), signed(-0.2)
    ('0.61', '−0.20')
    """
    if not math.isfinite(value):
        return DASH
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text


def plain(value: object) -> str:
    """A setting as text.

    >>> plain(0.1), plain(None), plain(True), plain((1, 2))
    ('0.1', '–', 'yes', '1, 2')
    """
    if value is None or value == "":
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else DASH
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or DASH
    return str(value)


def shape(values: tuple[int, ...]) -> str:
    """An image shape.

    >>> shape((1, 8, 8))
    '1 × 8 × 8'
    """
    return " × ".join(map(str, values))


def quantity(value: float, unit: str) -> str:
    """A value of a quantity, in its unit.

    >>> quantity(0.0012, "s"), quantity(0.000_081, "s"), quantity(0.93, "fraction")
    ('1.2 ms', '81 µs', '93.00 %')
    >>> quantity(71_234, "count"), quantity(131_072, "bytes"), quantity(3.14159, "J")
    ('71.2k', '128 KiB', '3.142 J')
    """
    if not math.isfinite(value):
        return DASH
    if unit == "fraction":
        return percent(value)
    if unit == "count":
        return amount(value)
    if unit == "bytes":
        return size(value)
    if unit == "s":
        if abs(value) >= 59.5:
            return duration(value)
        for factor, name in ((1.0, "s"), (1e-3, "ms")):
            if abs(value) >= 0.9995 * factor:
                return f"{_three(value / factor)} {name}"
        return f"{_three(1e6 * value)} µs"
    return f"{value:.4g} {unit}".strip().replace("-", "−", 1 if value < 0 else 0)


def inline(label: str) -> str:
    """A label inside a sentence.

    >>> inline("Validation accuracy"), inline("PGD@8")
    ('validation accuracy', 'PGD@8')
    """
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def many(count: int, one: str) -> str:
    """A count and what is counted.

    >>> many(1, "trial"), many(1_200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{count:,} {one if count == 1 else one + 's'}"


def _three(value: float) -> str:
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def joints(text: object) -> Markup:
    """A text, escaped, that may be broken after its separators and nowhere else by preference.

    >>> joints("a=<1>,b")
    Markup('a=&lt;1&gt;,<wbr>b')
    """
    pieces = re.findall(r"[^+,;|]*[+,;|]+|[^+,;|]+", str(text))
    return Markup("<wbr>").join(pieces)


def stacked(head: str) -> Markup:
    """The heading of a column, escaped; the argument of a quantity on a line of its own.

    >>> stacked("Latency@torch"), stacked("Pgd@8")
    (Markup('Latency<br>@torch'), Markup('Pgd@8'))
    """
    name, _, argument = head.partition("@")
    if len(head) <= 10 or not argument:
        return Markup.escape(head)
    return Markup("{}<br>@{}").format(name, argument)
