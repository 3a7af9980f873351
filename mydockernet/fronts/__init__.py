"""The front ends for container engines: their JSON → the words of the command line → an outcome → their JSON.

Each is a program of its own, and imports only what it needs. None has rules, addresses or retries of its own.
"""
