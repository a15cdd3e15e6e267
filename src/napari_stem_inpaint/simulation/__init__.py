"""Simulated STEM: crystal → scene of columns → image → values at the scanned positions."""
