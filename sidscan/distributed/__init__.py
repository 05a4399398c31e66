"""Runs of shards: one list of inputs, scanned by any number of processes on any number of machines.

    plan     the inputs, each once, are cut into slices (`plan`, `slices`, `unique`)
    scan     a shard is a scan of one slice into a journal on a local disk (`shard`)
    publish  the journal is copied into the run, by whoever is first (`store`)
    collect  the journals are checked against the plan and noted in the ledger (`ledger`), and are one record
             (`record`), from which reports are written

No part needs a cluster. Whatever starts ``sidscan scan --run RUN --shard N`` for each N runs it.
"""
