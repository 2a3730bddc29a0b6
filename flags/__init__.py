"""The product: what can be changed, and every door to it."""
