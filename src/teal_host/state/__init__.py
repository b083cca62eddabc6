"""What there is on this host, as values: an app, its colors, releases, agreement, secrets and rights."""
