"""Hints that no test walks yet. This list only gets shorter: a new hint needs a test with `mark.hint`."""

UNWALKED = {
    "do [proxy] directives catch /.teal-…, which Teal asks? leave that path out of them",
    "install {}",
    "log in as the server's admin for that",
    "make another key: ssh-keygen -t ed25519 -f {}-deploy",
    "on the server: apt-get update && apt-get install {}; then teal setup again",
    "teal logs --color {}: what does the program need?",
    "teal setup again",
}
