"""Container networks for one Linux host, made of plain ip and iptables commands, without a daemon."""

__version__ = "0.1.0"
