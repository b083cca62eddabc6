"""`teal demo`: deploys, replaces and rolls back a program on this machine, under load."""
