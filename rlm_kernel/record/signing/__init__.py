"""Signatures of records, notebooks and exported pages, by the user's own ssh key.

``signed_files`` has where a signature stands in each kind of file and what it is of; ``ssh_keygen``
makes and checks one; ``verifying`` tells what is known of a file. There is no cryptography here.
"""
