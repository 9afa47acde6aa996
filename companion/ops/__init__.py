"""What an operator sees of a companion: logs, metrics, traces."""
