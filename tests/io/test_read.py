"""Opening files: units, real microscope files, dtypes, stacks and damaged files."""

import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.io import SUFFIXES, microscopes, read
from napari_stem_inpaint.io.units import nm_per_unit, pixel_size, to_nm


def test_import_is_cheap() -> None:
    code = (
        "import sys, napari_stem_inpaint.io; "
        "print([m for m in ('skimage', 'scipy', 'tifffile', 'PIL', 'rsciio', 'h5py', 'torch', 'qtpy', 'napari') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


# ---- units


@pytest.mark.parametrize(
    ("unit", "nm"),
    [
        ("m", 1e9),
        ("meters", 1e9),
        ("cm", 1e7),
        ("mm", 1e6),
        ("um", 1e3),
        ("\u00b5m", 1e3),
        ("\u03bcm", 1e3),
        ("\\u00B5m", 1e3),
        ("micron", 1e3),
        ("Microns", 1e3),
        ("micrometer", 1e3),
        ("nm", 1.0),
        (b"nm", 1.0),
        (" [n_m] ", 1.0),
        ("nanometers", 1.0),
        ("\u00c5", 0.1),
        ("\u212b", 0.1),
        ("angstrom", 0.1),
        ("Angstroms", 0.1),
        ("pm", 1e-3),
        ("A", None),
        ("1/nm", None),
        ("1 / \u00b5m", None),
        ("nm^-1", None),
        ("n_m^-1", None),
        ("Mm", None),
        ("pixel", None),
        ("inch", None),
        ("", None),
        ("[]", None),
        ("s", None),
        (None, None),
        (3, None),
    ],
)
def test_units(unit: object, nm: float | None) -> None:
    assert nm_per_unit(unit) == nm


@pytest.mark.parametrize("scale", [-1, 0, math.nan, math.inf, None, "", "wide", 1e17, 1e-5, [1, 2]])
def test_impossible_scales_are_unknown(scale: object) -> None:
    assert to_nm(scale, "nm") is None
    assert pixel_size((scale, "nm"), (0.1, "nm")) is None


# ---- real files

NM_UM = 168.67471
REAL = [
    ("test_STEM_image.dm3", 1, (68, 68), 0.2485380),
    ("test_diffraction_pattern.dm3", 1, (87, 87), None),
    ("BTO_crystal_2.dm4", 1, (465, 476), 0.0355919),
    ("spim4-2-df-ref.dm4", 1, (512, 512), 0.05859375),
    ("STEM HAADF Diffraction Micro.emd", 1, (128, 128), 87.370796),
    ("FFTComplexEven.emd", 1, (128, 128), 27.115296),
    ("16x16_STEM_BF_DF_acquire.emi", 2, (16, 16), 21.510044),
    ("16x16_STEM_BF_DF_acquire_1.ser", 1, (16, 16), 21.510044),
    ("16x16_STEM_BF_DF_acquire_2.ser", 1, (16, 16), 21.510044),
    ("HAADFscan.mrc", 1, (16, 16), 5.6791313),
    ("Custom_movie.mrc", 30, (16, 16), None),
    ("test1.blo", 1, (3, 2), 12.8),
    ("stem_abf_data_imagestack.hspy", 5, (512, 512), 0.0092023984),
    ("test_loading_image_saved_with_imageJ.tif", 1, (68, 68), NM_UM),
    ("test_loading_image_saved_with_imageJ_stack.tif", 2, (68, 68), NM_UM),
    ("test_tiff_Zeiss_SEM_512pix.tif", 1, (384, 512), 11.65),
    ("Re_bpy_1h11.tif", 1, (1024, 1024), None),
    ("Si110_5nmX25us_03_none_none.png", 1, (512, 512), None),
]
NEEDS_EM = (".dm3", ".dm4", ".emd", ".emi", ".ser", ".mrc", ".blo", ".hspy")


@pytest.mark.parametrize(("name", "count", "shape", "nm"), REAL, ids=[row[0] for row in REAL])
def test_real_file(shared_data: Path, name: str, count: int, shape: tuple[int, int], nm: float | None) -> None:
    if Path(name).suffix in NEEDS_EM:
        pytest.importorskip("rsciio")
    frames = read(shared_data / "files" / name)
    assert len(frames) == count
    assert all(frame.shape == shape and frame.metadata["source"] == name for frame in frames)
    assert len({frame.name for frame in frames}) == count
    size = frames[0].pixel_size_nm
    assert size is None if nm is None else size == pytest.approx((nm, nm), rel=1e-4)
    assert all(np.isfinite(frame.image).all() and frame.image.any() for frame in frames)


def test_every_microscope_suffix_is_tried_on_a_real_file() -> None:
    assert {Path(row[0]).suffix for row in REAL} | {".tiff", ".npy", ".npz"} == set(SUFFIXES)


def test_real_stack_names_its_planes(shared_data: Path) -> None:
    frames = read(shared_data / "files" / "test_loading_image_saved_with_imageJ_stack.tif")
    assert [frame.name for frame in frames] == [f"test_loading_image_saved_with_imageJ_stack [{k}/2]" for k in (1, 2)]


def test_4d_stem_says_that_it_was_summed(shared_data: Path) -> None:
    pytest.importorskip("rsciio")
    assert "sum" in read(shared_data / "files" / "test1.blo")[0].metadata["note"]


@pytest.mark.parametrize("keep", ["half", "text", "byte"])
@pytest.mark.parametrize("name", [row[0] for row in REAL if "Custom" not in row[0]])
def test_damaged_real_file_is_one_sentence(shared_data: Path, tmp_path: Path, name: str, keep: str) -> None:
    if Path(name).suffix in NEEDS_EM:
        pytest.importorskip("rsciio")
    whole = (shared_data / "files" / name).read_bytes()
    damaged = tmp_path / name
    damaged.write_bytes({"half": whole[: len(whole) // 2], "text": b"This is a text.\n" * 100, "byte": whole[:1]}[keep])
    with pytest.raises(InputError) as caught:
        read(damaged)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- what rosettasciio may deliver, without a file for each


def _signal(data: np.ndarray, axes: list[tuple[float | None, str | None, bool]], title: str | None = None) -> dict:
    told = [{"size": n, "scale": s, "units": u, "navigate": nav} for n, (s, u, nav) in zip(data.shape, axes, strict=True)]
    return {"data": data, "axes": told, "metadata": {"General": {"title": title}}}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def reader(*signals: dict) -> Path:
        path = tmp_path / "fake.dm4"
        path.write_bytes(b"x")
        monkeypatch.setattr(microscopes, "load", lambda path: list(signals))
        return path

    return reader


NM, PLAIN, GRID, RECIPROCAL, ENERGY = (0.1, "nm", False), (1.0, "", True), (2.0, "nm", True), (0.1, "1/nm", False), (1.0, "eV", False)


def test_images_among_other_signals(fake) -> None:
    image = np.arange(12.0).reshape(3, 4)
    path = fake(
        _signal(np.zeros((3, 4), np.complex64), [RECIPROCAL, RECIPROCAL], "FFT"),
        _signal(np.zeros(9), [ENERGY], "EDS"),
        _signal(np.zeros((3, 4, 9)), [GRID, GRID, ENERGY], "EELS"),
        _signal(np.zeros((3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")]), [NM, NM], "photo"),
        _signal(image, [NM, (0.2, "nm", False)], "HAADF"),
    )
    (frame,) = read(path)
    assert frame.name == "HAADF"
    assert frame.pixel_size_nm == (0.1, 0.2)
    assert np.array_equal(frame.image, image)


def test_no_image_says_what_was_found(fake) -> None:
    path = fake(_signal(np.zeros(9), [ENERGY], "EDS"), _signal(np.zeros((3, 4), complex), [NM, NM], "FFT"))
    with pytest.raises(InputError, match=r"EDS: a spectrum.*FFT: complex data \(3, 4\)"):
        read(path)
    with pytest.raises(InputError, match="found nothing"):
        read(fake())


def test_4d_scan_grid_is_the_sum_over_the_detector(fake) -> None:
    data = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 6)).astype(np.uint8)
    (frame,) = read(fake(_signal(data, [GRID, GRID, RECIPROCAL, RECIPROCAL])))
    assert np.array_equal(frame.image, data.sum((2, 3)))
    assert frame.pixel_size_nm == (2.0, 2.0)


def test_4d_real_space_images_are_a_stack(fake) -> None:
    frames = read(fake(_signal(np.zeros((2, 3, 5, 6)), [PLAIN, PLAIN, NM, NM])))
    assert [frame.name for frame in frames][-1] == "fake [6/6]"
    assert frames[0].pixel_size_nm == (0.1, 0.1)


def test_two_untitled_signals_get_different_names(fake) -> None:
    signal = _signal(np.zeros((3, 4)), [NM, NM])
    assert [frame.name for frame in read(fake(signal, signal))] == ["fake #1", "fake #2"]


def test_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.dm4"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph", None)
    with pytest.raises(InputError, match=r'pip install "napari-stem-inpaint\[em\]"'):
        read(path)


@pytest.mark.parametrize(("message", "outcome"), [("Blockfile header", "refused"), ("units could not be determined", "no size")])
def test_what_a_reader_only_warns_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, message: str, outcome: str) -> None:
    def file_reader(path: str) -> list[dict]:
        warnings.warn(message, UserWarning, stacklevel=1)
        return [_signal(np.ones((3, 4)), [NM, NM])]

    path = tmp_path / "a.ser"
    path.write_bytes(b"x")
    plugin = type("plugin", (), {"file_reader": staticmethod(file_reader)})
    monkeypatch.setattr(microscopes.importlib, "import_module", lambda name: plugin)
    if outcome == "refused":
        with pytest.raises(InputError, match="Blockfile header"):
            read(path)
    else:
        assert read(path)[0].pixel_size_nm is None


def test_memory_error_stays_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def exhausted(path: Path) -> list[dict]:
        raise MemoryError

    path = tmp_path / "a.dm4"
    path.write_bytes(b"x")
    monkeypatch.setattr(microscopes, "load", exhausted)
    with pytest.raises(MemoryError):
        read(path)


# ---- TIFF


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"imagej": True, "resolution": (50.0, 25.0), "metadata": {"unit": "nm"}}, (0.04, 0.02)),
        ({"imagej": True, "resolution": (5.0, 5.0), "metadata": {"unit": "micron"}}, (200.0, 200.0)),
        ({"imagej": True, "resolution": (5.0, 5.0), "metadata": {"unit": "pixel"}}, None),
        ({"imagej": True, "resolution": (5.0, 5.0)}, None),
        ({"imagej": True, "resolution": (28.3, 28.3), "metadata": {"unit": "cm"}}, None),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (118, 118), "resolutionunit": "CENTIMETER"}, None),
        ({"resolution": (2e8, 1e8), "resolutionunit": "CENTIMETER"}, (0.1, 0.05)),
        ({"resolution": (5, 5), "resolutionunit": "NONE"}, None),
        ({}, None),
        (
            {"ome": True, "metadata": {"PhysicalSizeX": 0.02, "PhysicalSizeY": 0.04, "PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm"}},
            (0.04, 0.02),
        ),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.02, "PhysicalSizeY": 0.02}}, (20.0, 20.0)),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.02}}, None),
        (
            {"ome": True, "metadata": {"PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel", "PhysicalSizeY": 1, "PhysicalSizeYUnit": "pixel"}},
            None,
        ),
        ({"ome": True}, None),
    ],
)
def test_tiff_calibration(tmp_path: Path, options: dict, size: tuple[float, float] | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((5, 7), np.float32), photometric="minisblack", **options)
    found = read(path)[0].pixel_size_nm
    assert found is None if size is None else found == pytest.approx(size, rel=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "uint8", ">u2", "<i4", "uint64", "float16", ">f4", "float64"])
def test_tiff_and_npy_dtypes(tmp_path: Path, dtype: str) -> None:
    image = (np.arange(35).reshape(5, 7) % 2).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, byteorder=">" if ">" in dtype else "<")
    np.save(tmp_path / "a.npy", image)
    np.savez(tmp_path / "a.npz", image)
    for suffix in ("tif", "npy", "npz"):
        (frame,) = read(tmp_path / f"a.{suffix}")
        assert frame.image.dtype == np.float32
        assert np.array_equal(frame.image, image.astype(np.float32))


@pytest.mark.parametrize("compression", ["lzw", "zlib", None])
def test_tiff_stacks_series_and_compression(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "a.TIF"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.ones((3, 4, 5), np.uint16), compression=compression, photometric="minisblack")
        writer.write(np.zeros((6, 7), np.float32), compression=compression)
    names = [frame.name for frame in read(path)]
    assert names == ["a #1 [1/3]", "a #1 [2/3]", "a #1 [3/3]", "a #2"]


def test_missing_imagecodecs_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 4), np.uint8))
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", refuse)
    with pytest.raises(InputError, match="pip install imagecodecs"):
        read(tmp_path / "a.tif")


def test_complex_tiff_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 4), np.complex64))
    with pytest.raises(InputError, match="complex64"):
        read(tmp_path / "a.tif")


# ---- colour, PNG and NumPy


@pytest.mark.parametrize("samples", [3, 4])
@pytest.mark.parametrize("suffix", ["tif", "png", "npy"])
def test_colour_is_refused_unless_it_is_grey(tmp_path: Path, suffix: str, samples: int) -> None:
    level = np.arange(70, dtype=np.uint8).reshape(7, 10)
    picture = np.stack([level] * 3 + [np.full_like(level, 255)], axis=-1)[..., :samples]
    path = tmp_path / f"a.{suffix}"

    def write() -> None:
        if suffix == "tif":
            tifffile.imwrite(path, picture, photometric="rgb", extrasamples=["unassalpha"] if samples == 4 else None)
        elif suffix == "png":
            Image.fromarray(picture).save(path)
        else:
            np.save(path, picture)

    write()
    (frame,) = read(path)
    assert np.array_equal(frame.image, level)
    picture[3, 3, 0] += 1
    write()
    with pytest.raises(InputError, match="colour picture"):
        read(path)


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "P", "LA"])
def test_png_modes(tmp_path: Path, mode: str) -> None:
    level = np.zeros((6, 8), np.uint16 if mode == "I;16" else np.uint8)
    level[2:4] = 40000 if mode == "I;16" else 255
    picture = Image.fromarray(level)
    picture = picture if mode in ("L", "I;16") else picture.convert(mode)
    picture.save(tmp_path / "a.png", dpi=(300, 300))
    (frame,) = read(tmp_path / "a.png")
    assert np.array_equal(frame.image > 0, level > 0)
    assert frame.pixel_size_nm is None


def test_transparency_is_refused(tmp_path: Path) -> None:
    picture = np.full((5, 5, 2), 9, np.uint8)
    picture[2, 2, 1] = 0
    Image.merge("LA", [Image.fromarray(picture[..., k].copy()) for k in (0, 1)]).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="transparent"):
        read(tmp_path / "a.png")


def test_npz_takes_images_and_leaves_the_rest(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", image=np.ones((4, 5)), stack=np.ones((2, 4, 5)), note=np.array("text"), line=np.ones(3))
    assert [frame.name for frame in read(tmp_path / "a.npz")] == ["a image", "a stack [1/2]", "a stack [2/2]"]
    np.savez(tmp_path / "b.npz", note=np.array("text"), objects=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="note: <U4"):
        read(tmp_path / "b.npz")


def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (ran,))

    np.save(tmp_path / "a.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        read(tmp_path / "a.npy")
    assert not ran.exists()


@pytest.mark.parametrize("array", [np.ones(5), np.ones((2, 2, 2, 2)), np.ones((3, 3), complex), np.ones((0, 4)), np.array("x")])
def test_npy_without_an_image(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError):
        read(tmp_path / "a.npy")


def test_values_beyond_float32_do_not_warn(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1e300, 1.0]]))
    assert np.isinf(read(tmp_path / "a.npy")[0].image[0, 0])


# ---- faults


def test_missing_folder_empty_unknown(tmp_path: Path) -> None:
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "empty.tif").touch()
    (tmp_path / "a.xyz").write_text("x")
    for name, text in [("none.tif", "no file"), ("folder.tif", "is a folder"), ("empty.tif", "is empty"), ("a.xyz", "unknown kind")]:
        with pytest.raises(InputError, match=text):
            read(tmp_path / name)
        with pytest.raises(InputError, match=text):
            read(str(tmp_path / name))
    with pytest.raises(InputError):
        read("nul\0.tif")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_text_under_any_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("x,y\n1,2\n" * 300)
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [1, 6, 60, 0.3, 0.9])
@pytest.mark.parametrize("suffix", ["tif", "npy", "npz", "png"])
def test_truncated(tmp_path: Path, suffix: str, keep: float) -> None:
    stack = np.random.default_rng(0).random((3, 40, 40)).astype(np.float32)
    path = tmp_path / f"a.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, stack, photometric="minisblack", metadata=None, contiguous=False)
    elif suffix == "png":
        Image.fromarray((stack[0] * 255).astype(np.uint8)).save(path)
    else:
        (np.save if suffix == "npy" else np.savez)(path, stack)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(InputError):
        read(path)


def test_truncated_stack_is_not_a_shorter_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(3):
            writer.write(np.ones((8, 8), np.float32), contiguous=False)
    whole = path.read_bytes()
    assert len(read(path)) == 3
    path.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(InputError, match="cut short"):
        read(path)
