"""Files in and out. Everything heavy is imported when a file is opened, not before."""

from .columns import write_columns
from .measurements import read_measurement
from .reading import SUFFIXES, read
from .scan_files import read_scan, write_scan
from .writing import write_frame, write_measurement, write_reconstruction

__all__ = [
    "SUFFIXES",
    "read",
    "read_measurement",
    "read_scan",
    "write_columns",
    "write_frame",
    "write_measurement",
    "write_reconstruction",
    "write_scan",
]
