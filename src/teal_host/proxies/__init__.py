"""The seam that sends traffic to a color: nginx, one's own or the machine's."""
