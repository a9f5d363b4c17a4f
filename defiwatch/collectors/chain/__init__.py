"""One chain: what to ask next is decided without I/O (`ledger`, `health`), and done by a thin shell (`collector`)."""
