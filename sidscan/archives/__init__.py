"""Zip and tar: what an archive holds and the bytes of a member, read in place; nothing is ever unpacked.

Archives come from strangers, so only worker processes (`sidscan.isolation`) call this package, except where
somebody asks for one member in this process.
"""
