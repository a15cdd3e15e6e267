"""The widget "From frame to result": every step in the order in which one works, in one dock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from npe2 import PluginManager
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from ..errors import InputError, sentence
from ..io import SUFFIXES
from ..params import ReconstructionParams
from .files import get_reader
from .judge import JudgeWidget
from .layer_data import holds_nan, notes_of
from .panel import Panel
from .reconstruct import ReconstructWidget
from .remembered import PLUGIN
from .scan import ScanWidget, could_be_frame

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

WIDTH_PX = 400
STEPS = ("1 Frame", "2 Scan", "3 Reconstruct", "4 Judge")
TIPS = (
    "Open a file or a sample, or simulate a frame.",
    "Choose which positions of a frame are measured.",
    "Compute the positions that were not measured.",
    "Compare the results, and take them away.",
)
FILES = f"Microscope files and images (*{' *'.join(SUFFIXES)});;All files (*)"


class FlowWidget(QWidget):
    """Frame, Scan, Reconstruct and Judge, a page for each; a page is made when it is first shown."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.tabs, self.stack = QTabBar(), QStackedWidget()
        self.tabs.setExpanding(True)
        self.tabs.setDrawBase(False)
        self.tabs.setUsesScrollButtons(False)
        makers: tuple[Callable[[], QWidget], ...] = (
            lambda: FramePage(napari_viewer, self._on_opened),
            self._scan,
            lambda: ReconstructWidget(napari_viewer),
            self._judge,
        )
        self._makers = makers
        self._pages: dict[int, QWidget] = {}
        for place, (title, tip) in enumerate(zip(STEPS, TIPS, strict=True)):
            self.tabs.addTab(title)
            self.tabs.setTabToolTip(place, tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.tabs)
        layout.addWidget(self.stack)
        self.tabs.currentChanged.connect(self._on_step)
        self._viewer = napari_viewer
        self._seen = list(napari_viewer.layers)
        self.go_on(self._seen)
        self._on_step(self.tabs.currentIndex())

    def changeEvent(self, event: QEvent) -> None:
        """End the work of every page when the dock is closed: napari takes the widget out and keeps it."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            for panel in self.findChildren(Panel):
                panel.end()
        super().changeEvent(event)

    def sizeHint(self) -> QSize:
        """Narrow enough to leave the image its room."""
        return QSize(WIDTH_PX, super().sizeHint().height())

    def page(self, place: int) -> QWidget:
        """Return the page of a step, from 0."""
        if place not in self._pages:
            self._pages[place] = self._makers[place]()
            self.stack.addWidget(self._pages[place])
        return self._pages[place]

    @property
    def reconstruct(self) -> ReconstructWidget:
        """The page that reconstructs."""
        page = self.page(2)
        assert isinstance(page, ReconstructWidget)
        return page

    @property
    def scan(self) -> ScanWidget:
        """The page that chooses and measures positions."""
        page = self.page(1)
        assert isinstance(page, ScanWidget)
        return page

    def _scan(self) -> ScanWidget:
        scan = ScanWidget(self._viewer)
        scan.scanned.connect(lambda: self._on_scanned(scan.status.text()))
        return scan

    def _on_scanned(self, how: str) -> None:
        self.tabs.setCurrentIndex(2)
        self.reconstruct.say(how)

    def _judge(self) -> JudgeWidget:
        judge = JudgeWidget(self._viewer)
        judge.save_group.again.disconnect(judge.run_again)
        judge.save_group.again.connect(lambda params: self._on_again(params, judge.choice.partner("measured")))
        return judge

    def _on_again(self, params: ReconstructionParams, measured: Layer | None) -> None:
        self.reconstruct.take_over(params, measured)
        self.tabs.setCurrentIndex(2)

    def _on_opened(self) -> None:
        new = [layer for layer in self._viewer.layers if layer not in self._seen]
        self._seen = list(self._viewer.layers)
        self.go_on(new)

    def go_on(self, layers: Sequence[Layer]) -> None:
        """Show the step that ``layers`` ask for, with them chosen."""
        measured = [layer for layer in layers if notes_of(layer).get("role") == "measured" or holds_nan(layer)]
        if measured:
            self.tabs.setCurrentIndex(2)
            self.reconstruct.measured_combo.choose(measured[-1])
        elif layers:
            self.tabs.setCurrentIndex(1)
            frames = [layer for layer in layers if layer in self.scan.frame.layers and could_be_frame(layer)]
            if frames:
                self.scan.frame.choose(frames[-1])
        else:
            self.tabs.setCurrentIndex(0)

    def _on_step(self, place: int) -> None:
        if place == 2:
            self.page(3)  # waits for the result
        self.stack.setCurrentWidget(self.page(place))


class FramePage(QWidget):
    """Opens a file or a sample, or simulates; then calls ``opened``."""

    def __init__(self, viewer: napari.viewer.Viewer, opened: Callable[[], None]) -> None:
        super().__init__()
        self._viewer, self._opened = viewer, opened
        self.open_button, self.sample_button, self.simulate_button = (
            QPushButton(text) for text in ("Open file…", "Open sample", "Simulate…")
        )
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        menu = QMenu(self.sample_button)
        self.samples: dict[str, Any] = {}
        for key, title in _samples():
            self.samples[key] = menu.addAction(title, lambda key=key: self._on_sample(key))
        self.sample_button.setMenu(menu)
        row = QHBoxLayout()
        for button, tip in (
            (self.open_button, "Open a microscope file or an image; dropping it on the canvas does the same."),
            (self.sample_button, "Open a simulated frame with its measurement."),
            (self.simulate_button, "Make a frame: crystal, defects, probe, detector, movements."),
        ):
            button.setToolTip(tip)
            row.addWidget(button)
        self._layout = QVBoxLayout(self)
        self._layout.addLayout(row)
        self._layout.addWidget(self.status)
        self._layout.addStretch(1)
        self._layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.open_button.clicked.connect(self._on_open)
        self.simulate_button.clicked.connect(self._on_simulate)
        self.status.setText("Open a sample and press Run: that is enough for a first result.")

    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a frame or a measurement", "", FILES)
        if path:
            self._try(lambda: self._open(path), f"{path} cannot be opened")

    def _open(self, path: str) -> None:
        reader = get_reader(path)
        if reader is None and path.lower().endswith(".csv"):
            raise InputError("it lists positions; open the image that was measured there, then choose From… > From a file… in Reconstruct")
        if reader is None:
            self._viewer.open(path)
            return
        for data, keywords, kind in reader(path):
            getattr(self._viewer, f"add_{kind}")(data, **keywords)

    def _on_sample(self, key: str) -> None:
        self._try(lambda: self._viewer.open_sample(PLUGIN, key), "The sample cannot be opened")

    def _try(self, action: Callable[[], object], otherwise: str) -> None:
        try:
            action()
        except Exception as error:  # whatever a reader may raise
            self.status.setText(f"{otherwise}: {sentence(error)}.".replace("..", "."))
            return
        self.status.setText("")
        self._viewer.reset_view()
        self._opened()

    def _on_simulate(self) -> None:
        from .simulate import SimulateWidget

        self.simulate_button.setEnabled(False)
        self.status.hide()
        widget = SimulateWidget(self._viewer)
        widget.runner.returned.connect(lambda _: self._opened())
        self._layout.insertWidget(1, widget, 1)
        self._layout.setStretch(self._layout.count() - 1, 0)  # the form takes all the room


def _samples() -> list[tuple[str, str]]:
    """Return key and title of each of this plugin's samples."""
    manager = PluginManager.instance()
    if PLUGIN not in manager:
        return []
    return [(sample.key, sample.display_name) for sample in manager.get_manifest(PLUGIN).contributions.sample_data or ()]
