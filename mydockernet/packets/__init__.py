"""Trace packets through the host and its containers, for `explain` and `doctor`."""
