"""The ground: the words that every room shares. Imports nothing above itself and does no I/O."""
