"""The formats that key sets are stored, exported and imported in. Pure: bytes to keys and back.

``dump``         libelektra's own format, and kdbd's for files
``json_text``    JSON, as libelektra's yajl writes it, and complete: which form stands for what
``json_reader``  the same, read
"""
