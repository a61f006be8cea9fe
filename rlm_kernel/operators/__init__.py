"""Work that the engine does over many items, one recorded slot a row.

How items are cut is the guest's (``remote.guest.maps``), what asks an LM and books it ``rlm``'s.
"""
