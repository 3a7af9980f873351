"""What is remembered, and the locks."""
