"""Reports. They change nothing."""
