"""Every read that a screen or the API needs, one file per noun, with its number of queries known."""
