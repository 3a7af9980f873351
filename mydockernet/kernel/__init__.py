"""The only room that runs programs."""
