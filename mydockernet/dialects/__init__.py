"""The dialects of programs: a fact → commands; what a program prints → what is seen."""
