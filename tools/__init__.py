"""What runs on your own machine besides the companion: broker, virtual board, command line."""
