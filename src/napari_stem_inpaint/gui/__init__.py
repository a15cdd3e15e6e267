"""The napari plugin: the only place that knows Qt, magicgui and napari. Nothing is computed here."""
