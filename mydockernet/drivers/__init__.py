"""The drivers: a network → its facts."""
