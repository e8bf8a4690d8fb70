"""What else sends many requests: the same work by other means, each a program of its own."""
