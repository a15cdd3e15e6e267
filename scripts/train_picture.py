"""Take the picture of the Train widget, from the real program, by clicking: docs/images/train.png. Takes four minutes."""

import os
import tempfile

from qtpy.QtCore import QRect
from windows import IMAGES, click, opened, wait

TRAINED_S = 200.0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STEM_INPAINT_CHECKPOINTS"] = folder
        viewer, widget = opened("Train")
        click(widget.run_button)
        wait(lambda: not widget.runner.running, TRAINED_S)
        widget.grab(QRect(0, 0, widget.width(), widget.status.geometry().bottom() + 10)).save(str(IMAGES / "train.png"))
        click(widget.stop_button)
        wait(lambda: not widget.runner.running)
        viewer.close()
