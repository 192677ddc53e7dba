"""One socket without I/O: it knows no transport."""
