"""A real chain for tests: a node running the protocols' own bytecode, and a deterministic story played on it."""
