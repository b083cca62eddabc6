"""nginx itself: the text of a site, the tree of what a machine's nginx reads, the program, a trial of a change."""
