"""The whole story on this machine: a program goes live, is replaced, a broken one is refused, and the old one comes back."""
