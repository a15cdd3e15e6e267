"""TIFF in and out: ImageJ, OME and Zeiss calibrations, and this package's own notes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..frames import Frame, PixelSize
from .notes import Notes, from_text
from .planes import frames_from, grey
from .units import pixel_size

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

TAG_UNITS = {2: ("m", 0.0254), 3: ("cm", 1.0), 4: ("mm", 1.0), 5: ("um", 1.0)}
# Below this a resolution tag cannot come from a printer or a screen.
LARGEST_TAGGED_NM = 1000.0


def read_tiff(path: Path) -> list[Frame]:
    """Return every image and every plane of every stack; reduced copies are left out.

    Raises
    ------
    InputError
        If the file is cut short, holds colour pictures only, or needs a package that is missing.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        _check_length(file, path)
        notes = read_notes(file) or {}
        chosen = [(k, series) for k, series in enumerate(file.series) if not series.keyframe.is_reduced]
        frames: list[Frame] = []
        refused: list[InputError] = []
        for k, series in chosen:
            stem = path.stem if len(chosen) == 1 else f"{path.stem} #{k + 1}"
            size, unit = _calibration(file, series, k)
            metadata = {**_told(notes), "source": path.name, "units": unit}
            try:
                planes = _planes(series, path)
                frames += frames_from(planes, size, notes.get("name") or stem, metadata)
            except InputError as error:
                refused.append(error)
    if not frames:
        raise refused[0] if refused else InputError(f"{path.name} holds no image.")
    return frames


def read_notes(file: TiffFile) -> Notes | None:
    """Return this package's notes from an open TIFF, or None if another program wrote it."""
    info = (file.imagej_metadata or {}).get("Info")
    return from_text(info)


def notes_of(path: Path) -> Notes | None:
    """Return this package's notes from the TIFF at ``path``, or None."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        return read_notes(file)


def write_tiff(path: Path, image: npt.NDArray[Any], pixel_size_nm: PixelSize, info: str, limits: tuple[float, float] | None = None) -> None:
    """Write ``image`` ``(Y, X)`` as a calibrated ImageJ TIFF.

    Parameters
    ----------
    pixel_size_nm
        ``(y, x)`` in nm, or None where unknown.
    info
        Text that ImageJ shows under Image > Show Info.
    limits
        Display range in the image's units.
    """
    import tifffile

    metadata: dict[str, Any] = {"axes": "YX", "unit": "pixel" if pixel_size_nm is None else "nm"}
    if info:
        metadata["Info"] = info
    if limits is not None and np.isfinite(limits).all() and limits[0] < limits[1]:
        metadata["min"], metadata["max"] = limits
    y, x = pixel_size_nm or (1.0, 1.0)
    tifffile.imwrite(path, image, imagej=True, resolution=(_per_pixel(x), _per_pixel(y)), metadata=metadata)


def _per_pixel(size: float) -> tuple[int, int]:
    # The rational of a TIFF has 32 bits either side; approximate whichever of size and 1/size is below one.
    largest = 2**32 - 1
    if size < 1:
        fraction = Fraction(size).limit_denominator(largest)
        return fraction.denominator, fraction.numerator or 1
    fraction = Fraction(1 / size).limit_denominator(largest)
    return fraction.numerator or 1, fraction.denominator


def _check_length(file: TiffFile, path: Path) -> None:
    length = path.stat().st_size
    reach = 0
    for page in file.pages:
        frame = page.aspage()
        reach = max(reach, *(start + count for start, count in zip(frame.dataoffsets, frame.databytecounts, strict=False)), 0)
    # The last page that could be found points to none, unless the file goes on where it was cut.
    file.filehandle.seek(file.pages.next_page_offset or 0)
    following = int.from_bytes(file.filehandle.read(file.tiff.offsetsize), "little" if file.byteorder == "<" else "big")
    if reach > length or (file.pages.next_page_offset and following >= length):
        raise InputError(f"{path.name} is cut short: its image data reach beyond the end of the file.")


def _planes(series: TiffPageSeries, path: Path) -> npt.NDArray[Any]:
    try:
        data = np.asarray(series.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        raise InputError(f"{path.name} is compressed; to open it, pip install imagecodecs ({error}).") from error
    axes = series.axes
    if data.dtype.names or data.dtype.kind not in "biuf":
        raise InputError(f"{path.name} holds {data.dtype} values, which are no image of real numbers.")
    if "S" in axes:
        data = grey(np.moveaxis(data, axes.index("S"), -1), path.name)
        axes = axes.replace("S", "")
    if "Y" not in axes or "X" not in axes:
        raise InputError(f"{path.name} holds no image: its axes are {axes} with shape {data.shape}.")
    return np.moveaxis(data, (axes.index("Y"), axes.index("X")), (-2, -1))


def _told(notes: Notes) -> dict[str, Any]:
    told = dict(notes.get("metadata") or {})
    told.update({key: notes[key] for key in ("kind", "noise", "recipe", "scores") if key in notes})
    return told


def _calibration(file: TiffFile, series: TiffPageSeries, index: int) -> tuple[PixelSize, str | None]:
    """Return the pixel size in nm ``(y, x)`` and the unit as the file states it."""
    page = series.keyframe
    if file.is_ome and file.ome_metadata:
        return _ome(file.ome_metadata, index)
    if file.is_sem and file.sem_metadata:
        return _zeiss(file.sem_metadata, page)
    steps = _tagged_steps(page)
    if file.is_imagej and (told := file.imagej_metadata or {}).get("unit"):
        unit = str(told["unit"])
        size = None if steps is None else pixel_size((steps[0], told.get("yunit", unit)), (steps[1], unit))
        # ImageJ turns a print resolution into cm by itself.
        return _plausible(size) if unit == "cm" else size, unit
    code = int(page.resolutionunit) if "ResolutionUnit" in page.tags else 2
    if steps is None or code not in TAG_UNITS:
        return None, None
    unit, factor = TAG_UNITS[code]
    size = _plausible(pixel_size((steps[0] * factor, unit), (steps[1] * factor, unit)))
    return size, unit if size else None


def _plausible(size: PixelSize) -> PixelSize:
    return size if size is not None and max(size) < LARGEST_TAGGED_NM else None


def _tagged_steps(page: TiffPage) -> tuple[float, float] | None:
    """Return units per pixel ``(y, x)`` from the resolution tags."""
    steps = []
    for name in ("YResolution", "XResolution"):
        tag = page.tags.get(name)
        if tag is None or not isinstance(tag.value, tuple) or 0 in tag.value:
            return None
        steps.append(tag.value[1] / tag.value[0])
    return steps[0], steps[1]


def _ome(text: str, index: int) -> tuple[PixelSize, str | None]:
    found = [element for element in ElementTree.fromstring(text).iter() if element.tag.rpartition("}")[2] == "Pixels"]
    if index >= len(found):
        return None, None
    told = found[index].attrib
    # OME's schema makes the micrometre the unit where none is given.
    y_unit, x_unit = (told.get(f"PhysicalSize{axis}Unit", "um") for axis in "YX")
    return pixel_size((told.get("PhysicalSizeY"), y_unit), (told.get("PhysicalSizeX"), x_unit)), x_unit


def _zeiss(told: dict[str, Any], page: TiffPage) -> tuple[PixelSize, str | None]:
    # "ap_pixel_size" belongs to the screen, not to the stored image; the field of view belongs to both.
    height, width = told.get("ap_height"), told.get("ap_width")
    if not (isinstance(height, tuple) and isinstance(width, tuple) and len(height) == len(width) == 3):
        return None, None
    size = pixel_size((height[1] / page.imagelength, height[2]), (width[1] / page.imagewidth, width[2]))
    # Both are rounded to four digits; a difference in the last one is not an oblong pixel.
    if size is not None and abs(size[0] / size[1] - 1) < 1e-3:
        size = (size[1], size[1])
    return size, str(width[2])
