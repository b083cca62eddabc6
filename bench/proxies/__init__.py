"""Proxies that switch traffic from one program to another, each in its own way; all on one server, with one program."""
