"""The evaluation API under load, beside a bare application on the same server: python -m bench.http"""
