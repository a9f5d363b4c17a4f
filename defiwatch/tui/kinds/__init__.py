"""One file for each kind of row: its columns, its order, its words for a filter and its page of reasons."""
