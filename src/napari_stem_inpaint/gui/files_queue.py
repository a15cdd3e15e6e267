"""The widget "Reconstruct files": files and folders, one image after the other, into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from ..errors import InputError
from ..frames import Iterate
from ..io import SUFFIXES
from ..io.measurements import HOW_TO_MASK, MARKED
from . import jobs
from .forms import add_row
from .panel import LongPanel
from .settings import Settings

if TYPE_CHECKING:
    import napari.viewer

    from ..batch import Done, Item

FILES = f"Measurements (*{' *'.join(SUFFIXES)})"
MASKS = "Mask or positions (*.csv *.tif *.tiff *.png *.npy)"
OWN, FROM_FILE = "each file knows its own", "a file, for all…"
CHOOSE_MASK = "choose that under “Measured”"  # in a window's words what the core's sentences ask for
WAITING, WORKING = "waiting", "…"
HEIGHT_PX = 200


class FilesWidget(LongPanel):
    """A table of images with the state of each, the settings for all, and the folder of the results."""

    width_px = 400

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__("Run", "Reconstruct every image in the table, and write each result as soon as it is made.")
        self._viewer = napari_viewer
        self.table = Table()
        self.files_button, self.folder_button = QPushButton("Add files…"), QPushButton("Add folder…")
        self.remove_button = QPushButton("Remove")
        self.mask_combo, self.out_line, self.out_button = QComboBox(), QLineEdit(), QPushButton("…")
        self.settings = Settings()
        self._mask: str | None = None
        self._paths: list[Path] = []
        self._failed = 0
        self._build()
        self.files_button.clicked.connect(self._on_add_files)
        self.folder_button.clicked.connect(self._on_add_folder)
        self.remove_button.clicked.connect(self._on_remove)
        self.mask_combo.activated.connect(self._on_mask)
        self.out_button.clicked.connect(self._on_out)
        self.run_button.clicked.connect(self._on_run)
        self.table.cellDoubleClicked.connect(lambda row, _: self._on_open(row))
        for signal in (self.out_line.textChanged, self.settings.form.changed, self.table.itemSelectionChanged, self.runner.ended):
            signal.connect(self._on_choice)
        self.runner.stepped.connect(self._on_stepped)
        self.runner.returned.connect(self._on_returned)
        self.runner.failed.connect(lambda _: self._on_stopped("failed"))
        self.runner.cancelled.connect(lambda: self._on_stopped("cancelled"))
        self._on_choice()

    def _build(self) -> None:
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        for button, tip in (
            (self.files_button, "Add measurements; each image of a stack is one."),
            (self.folder_button, "Add every measurement in a folder."),
            (self.remove_button, "Take the chosen images off the table; the files stay."),
        ):
            button.setToolTip(tip)
            line.addWidget(button)
        self.add_group("Images", row, self.table)
        self.mask_combo.addItems([OWN, "where the image is a number", "where the image is not zero", FROM_FILE])
        self.mask_combo.setMinimumContentsLength(12)
        out = QWidget()
        line = QHBoxLayout(out)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.out_line)
        line.addWidget(self.out_button)
        chooser = QWidget()
        form = QFormLayout(chooser)
        form.setContentsMargins(0, 0, 0, 0)
        add_row(form, "Measured", self.mask_combo, "Where the images were measured.")
        add_row(form, "Results", out, "The folder of the results; one that lies there already is not made again.")
        for name, widget in (("Measured", self.mask_combo), ("Results", self.out_line)):
            widget.setAccessibleName(name)
        self.out_button.setToolTip("Choose the folder.")
        self.out_button.setAccessibleName("Choose the folder of the results")
        self.add_group("Files", chooser)
        self.add_group("Reconstruction", self.settings)

    def add(self, *paths: str | Path) -> None:
        """Add files and folders to the table, but for those that are there."""
        from ..batch import items_of

        new = [Path(path) for path in paths if Path(path) not in self._paths]
        try:
            items = items_of(new, self._mask, (item.name for item in self.table.queued))
        except InputError as error:
            self.say(error)
            return
        self._paths += new
        self.table.show_items([*self.table.queued, *items])
        self.say(f"{len(items)} added, {len(self.table.queued)} images in all.")
        if not self.out_line.text() and new:
            self.out_line.setText(str((new[0] if new[0].is_dir() else new[0].parent) / "reconstructed"))
        self._on_choice()

    def _use_mask(self, mask: str | None) -> None:
        """Let the images that are in the table be measured as ``mask`` says."""
        from ..batch import items_of

        there = {item.name for item in self.table.queued}
        try:
            items = items_of(self._paths, mask) if self._paths else []
        except InputError as error:
            self.say(error)
            return
        self._mask = mask
        self.table.show_items([item for item in items if item.name in there])
        self._on_choice()

    def _on_add_files(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(self, "Measurements to reconstruct", "", FILES)
        if files:
            self.add(*files)

    def _on_add_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of measurements")
        if folder:
            self.add(folder)

    def _on_remove(self) -> None:
        self.table.remove_selected()
        if not self.table.queued:
            self._paths = []
        self._on_choice()

    def _on_mask(self, place: int) -> None:
        chosen: str | None = None
        if self.mask_combo.itemText(place) == FROM_FILE:
            chosen, _ = QFileDialog.getOpenFileName(self, "Where were they measured?", "", MASKS)
        elif place:
            chosen = list(MARKED)[place - 1]
        if not chosen:
            self.mask_combo.setCurrentIndex(0)
        self._use_mask(chosen or None)
        self.mask_combo.setToolTip(self._mask or OWN)

    def _on_out(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the results", self.out_line.text())
        if folder:
            self.out_line.setText(folder)

    def _obstacle(self) -> str:
        if not self.table.queued:
            return "Add files or a folder of measurements."
        if not self.out_line.text().strip():
            return "Choose the folder for the results."
        return self.settings.obstacle()

    def _on_choice(self, event: object = None) -> None:
        obstacle, running = self._obstacle(), self.runner.running
        self.advise(obstacle)
        self.run_button.setEnabled(not obstacle and not running)
        self.show_running()
        for widget in (self.files_button, self.folder_button, self.mask_combo, self.out_line, self.out_button):
            widget.setEnabled(not running)
        self.remove_button.setEnabled(not running and bool(self.table.selected_rows()))

    def _on_run(self) -> None:
        try:
            params = self.settings.form.values()
        except InputError as error:
            self.say(error)
            return
        items, out = list(self.table.queued), Path(self.out_line.text().strip()).expanduser()
        self._failed = 0
        self.table.begin()
        self.say("Starting…")
        self.progress.start(len(items))
        self.run(lambda tick: jobs.reconstructions(items, params, out, tick))
        self._on_choice()

    def _on_stepped(self, step: Iterate | tuple[Done, ...]) -> None:
        if isinstance(step, Iterate):
            self.progress.show_step(step)
            self.table.say(self.progress.part, f"{WORKING} step {step.index} of {step.total}")
            self.say(f"{self.table.queued[self.progress.part].name}: {step.stage}.")
            return
        for done in step:
            self._failed += bool(done.failure)
            if done.result is None:
                why = done.failure.replace(HOW_TO_MASK, CHOOSE_MASK)
                self.table.say(done.place, f"failed: {why}" if why else "there already")
            else:
                self.table.say(done.place, f"done: {done.result.recipe['outcome']}")
            self.progress.show_part(done.place + 1)

    def _on_returned(self, failed: int) -> None:
        count = len(self.table.queued)
        words = f"; {failed} failed, see the table; Run again does only those" if failed else ""
        opened = " A double click opens one." if failed < count else ""
        self.say(f"{count - failed} of {count} images are in {self.out_line.text()}{words}.{opened}")
        self.progress.stop("done")

    def _on_stopped(self, how: str) -> None:
        if self.progress.step is not None:  # of an image that was begun
            self.table.say(self.progress.part, how)
        if how == "cancelled":
            self.say(f"Cancelled with {self.progress.part - self._failed} done; Run goes on with the others.")
        self.progress.stop(how)

    def _on_open(self, row: int) -> None:
        """Open the result of a row as a layer."""
        from ..batch import ENDING
        from .files import read_layers

        file = Path(self.out_line.text().strip()).expanduser() / f"{self.table.queued[row].name}{ENDING}"
        try:
            for data, keywords, kind in read_layers(str(file)):
                getattr(self._viewer, f"add_{kind}")(data, **keywords)
        except InputError as error:
            self.say(error)


class Table(QTableWidget):
    """A row for each image, with its state."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.queued: list[Item] = []
        self.setAccessibleName("Images")
        self.setHorizontalHeaderLabels(["image", "state"])
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setFixedHeight(HEIGHT_PX)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is not None and columns is not None:
            rows.hide()
            columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
            columns.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)

    def show_items(self, items: list[Item]) -> None:
        """Show ``items``, all waiting."""
        self.queued = items
        self.setRowCount(len(items))
        for row, item in enumerate(items):
            self.setItem(row, 0, _cell(item.name))
            self.setItem(row, 1, _cell(WAITING))
        self._fit()

    def begin(self) -> None:
        """Show that all wait."""
        for row in range(self.rowCount()):
            self.say(row, WAITING)

    def say(self, row: int, words: str) -> None:
        """Show the state of a row, on as many lines as it takes."""
        cell = _cell(words)
        self.setItem(row, 1, cell)
        self.resizeRowToContents(row)
        self.scrollToItem(cell)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep all words readable."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Let names take what they need up to a third of the width, and states the rest."""
        columns = self.horizontalHeader()
        least = 0 if columns is None else columns.sectionSizeHint(0)
        self.setColumnWidth(0, max(least, min(self.sizeHintForColumn(0), self.width() // 3)))
        self.resizeRowsToContents()

    def selected_rows(self) -> list[int]:
        """Return the chosen rows."""
        return sorted({index.row() for index in self.selectedIndexes()})

    def remove_selected(self) -> None:
        """Take the chosen rows away."""
        chosen = self.selected_rows()
        self.show_items([item for row, item in enumerate(self.queued) if row not in chosen])


def _cell(text: str) -> QTableWidgetItem:
    cell = QTableWidgetItem(text)
    cell.setToolTip(text)
    return cell
