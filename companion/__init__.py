"""The companion: takes what devices ask over MQTT and decides who answers.

The wire is in ``docs/protocol.md``, the modules and their boundaries in
``docs/architecture.md``. Importing this package loads nothing else.
"""
