"""The server side of Teal: it travels over the pipe and does the work where the app lives.

Rules of this package, kept by tests/rules: the standard library only; it parses and runs on Python 3.9;
imports run one way, main → stories → steps → seams → ground; only `files` writes, only `run` starts programs.
"""
