"""A whole kdbd in one thread, on a disk, a bus and a clock that the test moves.

``loop``     an event loop whose time passes only when told to
``workers``  threads' work, done step by step
``disk``     files in memory, which know what of them is synced
``journal``  the real journal, with faults
``bus``      the transport: calls in, replies and signals out
``model``    what must be there: the plain dict
``clients``  what applications do
``world``    all of it together, with crashes and restarts
"""
