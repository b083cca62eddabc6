"""The whole story on this machine: a program goes live, is replaced, and comes back."""
