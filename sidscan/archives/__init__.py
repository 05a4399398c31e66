"""Zip, tar and WARC: what an archive holds and the bytes of a member, read in place; none is ever unpacked.

Archives come from strangers, so only worker processes (`sidscan.isolation`) call this package, except where
somebody asks for one member in this process.
"""
