"""What widgets draw themselves: numbers and names have room, titles follow the data, colours follow the theme."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qtpy.QtGui import QColor, QFontMetricsF, QPalette

from napari_stem_inpaint.frames import Iterate
from napari_stem_inpaint.gui.combos import LayerCombo, is_grey_image
from napari_stem_inpaint.gui.curves import BESIDE_PX, TEXT_PX
from napari_stem_inpaint.gui.judge_view import ProfileChart
from napari_stem_inpaint.gui.look_back import LookBack
from napari_stem_inpaint.gui.picture import font
from napari_stem_inpaint.gui.preview import Pictures


def iterate(scores: dict[str, float] | None = None, total: int = 90) -> Iterate:
    return Iterate(71, total, np.zeros((8, 8), np.float32), 1.0, 0.1, "denoising", scores or {})


@pytest.mark.parametrize(("low", "high", "number"), [(0, 1, "0.5"), (2e5, 4e5, "300000"), (-0.02, 0.005, "−0.02"), (0, 0.01, "0.005")])
def test_numbers_beside_a_chart_have_room(qtbot: Any, low: float, high: float, number: str) -> None:
    chart = ProfileChart()
    qtbot.addWidget(chart)
    room = chart.axes((0.0, 1.0), (low, high)).box.left() - BESIDE_PX
    assert room >= QFontMetricsF(font(TEXT_PX)).horizontalAdvance(number)


def test_the_title_of_a_course_follows_what_is_known(qtbot: Any) -> None:
    course = LookBack()
    qtbot.addWidget(course)
    assert course.chart.title == ""
    course.add(iterate())
    assert "withheld" in course.chart.title
    course.begin()
    assert course.chart.title == ""
    course.add(iterate({"sre_db": 20.0}))
    assert course.chart.title == "SRE (dB) by step; faint: trials"


def test_a_course_tells_trials_from_what_is_made_of_all_measurements(qtbot: Any) -> None:
    course = LookBack()
    qtbot.addWidget(course)
    steps = ["choosing the start", "trial with withheld measurements", "denoising with all measurements", "krige"]
    iterates = [
        Iterate(k, len(steps), np.zeros((8, 8), np.float32), 0.1, 0.1, stage, {"sre_db": 10.0 * k}) for k, stage in enumerate(steps, 1)
    ]
    course.chart.show_iterates(iterates)
    assert (course.chart.tried, course.chart.points) == ([(1, 10), (2, 20)], [(3, 30), (4, 40)])
    blind = [replace(one, scores={}) for one in iterates]
    course.chart.show_iterates(blind)
    assert (course.chart.tried, course.chart.points) == ([], [(1, -1), (2, -1)])  # no measurement is left to judge the last two by


@pytest.mark.parametrize("px", [10, 30])
def test_the_number_of_a_step_has_room_in_any_font(qtbot: Any, px: int) -> None:
    course = LookBack()
    qtbot.addWidget(course)
    course.label.setFont(font(px))
    course.add(iterate(total=123456))
    assert course.label.text() == "step 71"
    assert course.label.minimumWidth() >= course.label.fontMetrics().horizontalAdvance("step 123456")


@pytest.mark.parametrize("width", [130, 220, 900])
def test_a_long_name_keeps_its_end(qtbot: Any, viewer: Any, width: int) -> None:
    name = "Average Through Stack Rigid Aligned BTO 2 mask"
    combo = LayerCombo(viewer, is_grey_image, "none")
    qtbot.addWidget(combo)
    combo.choose(viewer.add_image(np.zeros((8, 8)), name=name))
    combo.resize(width, 24)
    assert combo.currentText() == name
    assert combo.shown_text() == (name if width == 900 else combo.shown_text())
    assert combo.shown_text().endswith("mask")
    assert combo.fontMetrics().horizontalAdvance(combo.shown_text()) < width
    combo.grab()


@pytest.mark.parametrize(("ground", "ink"), [("#262930", "#f0f1f2"), ("#efebe9", "#3b3a39")])
def test_an_empty_preview_has_the_colours_of_the_theme(qtbot: Any, ground: str, ink: str) -> None:
    pictures = Pictures()
    qtbot.addWidget(pictures)
    palette = QPalette()
    palette.setColor(QPalette.ColorRole.Window, QColor(ground))
    palette.setColor(QPalette.ColorRole.WindowText, QColor(ink))
    pictures.setPalette(palette)
    pictures.resize(300, 200)
    box = pictures.grab().toImage().pixelColor(5, 5)
    assert abs(box.lightness() - QColor(ground).lightness()) < 30
    assert abs(box.lightness() - QColor(ink).lightness()) > 100
