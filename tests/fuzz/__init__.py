"""Every reader of something that somebody else writes, fed with what that somebody could write."""
