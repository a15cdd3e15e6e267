"""What a form begins with: its last values in this session, else what was last chosen for this laboratory.

The latter are the plugin's settings, which napari keeps and shows in its preferences: the manifest names the few fields.
"""

from __future__ import annotations

from typing import Any, TypeVar

from napari.settings import get_plugin_settings

from ..errors import InputError
from ..params import AcquisitionParams, JudgeParams, Params, ReconstructionParams, ScanParams
from .forms import ParamsForm

P = TypeVar("P", bound=Params)
PLUGIN = "napari-stem-inpaint"
SECTIONS: dict[type[Params], str] = {  # of the plugin's settings
    ReconstructionParams: "reconstruct",
    ScanParams: "scan",
    AcquisitionParams: "acquisition",
    JudgeParams: "microscope",
}
_session: dict[tuple[str, type[Params]], Params] = {}


def remember(form: ParamsForm[P], widget: str, first: P | None = None) -> None:
    """Give ``form`` the values that are remembered for its model in that ``widget``, else ``first``; remember what it is changed to."""
    form.set_values(_first_values(form.model, widget, first))
    form.changed.connect(lambda: _keep_for_session(form, widget))
    form.edited.connect(lambda: _keep_for_good(form))


def forget() -> None:
    """Forget what was remembered for this session."""
    _session.clear()


def _first_values(model: type[P], widget: str, first: P | None) -> P:
    if (widget, model) in _session:
        return _session[widget, model]  # type: ignore[return-value]
    if first is not None:
        return first
    settings = _settings(model)
    kept = {} if settings is None else {name: getattr(settings, name) for name in type(settings).model_fields}
    try:
        return model.model_validate(kept)
    except ValueError:  # settings of another version
        return model()


def _keep_for_session(form: ParamsForm[Any], widget: str) -> None:
    try:
        _session[widget, form.model] = form.values()
    except InputError:
        return


def _keep_for_good(form: ParamsForm[Any]) -> None:
    settings = _settings(form.model)
    for name in () if settings is None else type(settings).model_fields:
        value = form.controls[name].value
        if value != getattr(settings, name):
            setattr(settings, name, value)


def _settings(model: type[Params]) -> Any:
    """Return the section of the plugin's settings for ``model``; None where it has none, or none can be read."""
    try:
        return getattr(get_plugin_settings(PLUGIN), SECTIONS[model])
    except (KeyError, ValueError, OSError, AttributeError):
        return None
