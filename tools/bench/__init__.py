"""`make bench`: what a turn, a chip's heap and the companion cost on this machine."""
