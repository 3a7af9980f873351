"""The state directory: networks, journal, locks."""

DEFAULT_FOLDER = "/var/lib/mydockernet"
