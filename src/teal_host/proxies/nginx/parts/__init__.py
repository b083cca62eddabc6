"""Parts of an app's nginx file, and what they are made from."""
