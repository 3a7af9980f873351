"""The command line: from the arguments to one action; from its result to the output and the exit code."""
