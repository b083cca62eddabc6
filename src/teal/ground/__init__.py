"""The ground: the only places that write files, start programs and resolve names; the errors."""
