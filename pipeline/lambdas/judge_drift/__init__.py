"""Lambda: what follows from a comparison of requests with their baseline."""
