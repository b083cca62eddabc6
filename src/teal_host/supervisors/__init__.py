"""The seam that keeps a process running: a plain process of one's own, or systemd."""
