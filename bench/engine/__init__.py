"""In-process evaluation, measured against other SDKs: python -m bench.engine."""
