"""State: the journaled book of a chain, prices, and what is derived from them."""
