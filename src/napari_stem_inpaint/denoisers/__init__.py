"""Denoisers: the networks, and the checkpoint files that hold them."""
