"""A packet's way through the host and its containers, as `explain` and `doctor` follow it."""
