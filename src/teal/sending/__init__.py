"""Send an artifact: which files, how packed, and what to remember for the next upload."""
