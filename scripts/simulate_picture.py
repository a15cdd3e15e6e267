"""Take the picture of the Simulate widget, from the real program, by clicking: docs/images/simulate.png."""

from windows import click, opened, take, wait

PRESET = "Drifting perovskite with vacancies"


if __name__ == "__main__":
    viewer, widget = opened("Simulate")
    widget.preset.setCurrentText(PRESET)
    widget.preset.activated.emit(widget.preset.currentIndex())
    widget.form.sections["Scene"].expand(animate=False)
    wait(lambda: not widget.preview.worker.busy)
    click(widget.run_button)
    wait(lambda: not widget.runner.running)
    for layer in viewer.layers:
        layer.visible = not layer.name.endswith("acquired")
    viewer.camera.zoom *= 2.5
    take(viewer, "simulate")
    viewer.close()
