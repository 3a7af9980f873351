"""The dialects of programs: a fact → commands; the output of a program → an observation."""
