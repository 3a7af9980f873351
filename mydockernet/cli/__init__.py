"""The command line: words → one action; its result → what is printed, and the exit code."""
