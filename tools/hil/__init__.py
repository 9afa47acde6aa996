"""The hardware bench (docs/bench.md)."""
