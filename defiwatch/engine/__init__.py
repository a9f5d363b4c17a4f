"""The engine: a line of stages per chain, their order, and their merge into one stream of alerts and one snapshot."""
