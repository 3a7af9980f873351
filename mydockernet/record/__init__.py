"""What is remembered, and the locks."""

DEFAULT_FOLDER = "/var/lib/mydockernet"
