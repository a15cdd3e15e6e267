"""Fixtures that several test modules share."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the arrays are small: threads would only wait for each other

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None)  # a busy machine is no failure
settings.load_profile("here")


@pytest.fixture(autouse=True)
def own_checkpoints(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own checkpoints out of the tests."""
    monkeypatch.setenv("STEM_INPAINT_CHECKPOINTS", str(tmp_path_factory.mktemp("checkpoints")))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real files, which is not part of the repository; the test is skipped where it is absent."""
    told = os.environ.get("STEM_INPAINT_TEST_DATA")
    folder = Path(told) if told else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "files").is_dir():
        pytest.skip("real microscope files are not here; set STEM_INPAINT_TEST_DATA to their folder")
    return folder
