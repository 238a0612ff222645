"""The command line, one noun a file. Each command reads its options, calls one function, and prints; it decides nothing."""
