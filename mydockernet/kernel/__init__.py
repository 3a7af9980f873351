"""The only package that runs programs."""
