"""Solvers: functions from a scaled measurement to images. They are handed a denoiser as a callable and know no checkpoint."""
