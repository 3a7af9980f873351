"""The drivers: a network → the facts that must hold for it."""
