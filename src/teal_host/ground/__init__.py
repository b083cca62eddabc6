"""The ground: the only places that write files, start programs, and read the kernel."""
