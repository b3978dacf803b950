"""The database as a state machine: pure decisions, no files, no clock, no bus.

``backend``    one mountpoint's keys
``view``       which backends a caller sees, read as one ordered key set
``mounts``     mountpoints as the keys that declare them
``commit``     change sets and what they say of themselves
``requests``   what callers ask for, turned into change sets
``handles``    what an application has got, and what that lets it set
``merge``      files that were edited by somebody else
``database``   revisions; prepare, apply, forget
"""
