"""The truth of a simulated frame, as a table."""

from __future__ import annotations

import csv
from pathlib import Path

from ..frames import Columns
from .boundary import write_atomically


def write_columns(path: str | Path, columns: Columns) -> None:
    """Write one line for each column (.csv): row and column in px, y and x in nm, elements, intensity, defect.

    Raises
    ------
    InputError
        If the ending is unknown or the file cannot be written.
    """

    def write(target: Path) -> None:
        with target.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["row_px", "column_px", "y_nm", "x_nm", "elements", "intensity_nm2", "defect"])
            for px, nm, element, intensity, defect in zip(
                columns.positions_px, columns.positions_nm, columns.elements, columns.intensities, columns.defects, strict=True
            ):
                table.writerow([f"{px[0]:.5f}", f"{px[1]:.5f}", f"{nm[0]:.7f}", f"{nm[1]:.7f}", element, f"{intensity:.6g}", defect])

    write_atomically(path, (".csv",), write)
