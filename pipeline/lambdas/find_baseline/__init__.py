"""Lambda: what the requests of an endpoint are to be compared with."""
