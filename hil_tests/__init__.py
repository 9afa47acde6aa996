"""The bench's tests: the same on a real board and on the virtual one."""
