"""Lengths as files state them, in nm: never a wrong pixel size, rather none."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

from ..frames import PixelSize

SMALLEST_NM, LARGEST_NM = 1e-4, 1e6

# "A" is missing on purpose: it is as likely an ampere, and capitals matter (Mm, PM).
NM_PER_SYMBOL = {"m": 1e9, "cm": 1e7, "mm": 1e6, "um": 1e3, "\u03bcm": 1e3, "nm": 1.0, "\u00c5": 0.1, "pm": 1e-3}
NM_PER_WORD = {
    "meter": 1e9,
    "metre": 1e9,
    "centimeter": 1e7,
    "centimetre": 1e7,
    "millimeter": 1e6,
    "millimetre": 1e6,
    "micrometer": 1e3,
    "micrometre": 1e3,
    "micron": 1e3,
    "nanometer": 1.0,
    "nanometre": 1.0,
    "angstrom": 0.1,
    "\u00e5ngstr\u00f6m": 0.1,
    "picometer": 1e-3,
    "picometre": 1e-3,
}


def nm_per_unit(unit: Any) -> float | None:
    """Return the length of one ``unit`` in nm, or None if it is no length (reciprocal, "pixel", ampere, missing)."""
    if unit is None:
        return None
    text = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    # NFKC joins the two micro signs and the two angstrom signs.
    text = unicodedata.normalize("NFKC", text).strip(" []()\0").replace("_", "")
    word = text.lower()
    return NM_PER_SYMBOL.get(text) or NM_PER_WORD.get(word) or NM_PER_WORD.get(word.removesuffix("s"))


def to_nm(scale: Any, unit: Any) -> float | None:
    """Return ``scale`` (in ``unit``, any type) in nm, or None where it is unknown, not positive or absurd."""
    factor = nm_per_unit(unit)
    try:
        length = float(scale) * factor if factor is not None else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    return length if SMALLEST_NM <= length <= LARGEST_NM else None


def pixel_size(y: tuple[Any, Any], x: tuple[Any, Any]) -> PixelSize:
    """Return the pixel size in nm ``(y, x)`` from one (scale, unit) per axis; None unless both are known."""
    y_nm, x_nm = to_nm(*y), to_nm(*x)
    return None if y_nm is None or x_nm is None else (y_nm, x_nm)
