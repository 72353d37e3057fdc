"""The network of a server that is measured."""

ADDRESS, NEIGHBOUR = "203.0.113.1", "203.0.113.2"
PASSWORD = "a password of the bench"
