"""`defiwatch evaluate --positions`: P(liquidation) on recorded prices, held against what would have happened.

snapshot  the positions, and what their assets become where a recording has no price of them
market    a recording's prices, and the protocol's as a feed would have pushed them
cohorts   the positions frozen in a recording, and when each would have crossed
run       the outlook of a live line, run over it: learn what is known, then tell
scores    Brier scores, reliability and intervals by block bootstrap over days
leads     when a warning would have begun, and how often in vain
trial     recordings in order: those that tune, those that are scored
results   the shapes that are printed
words     all of it for people
command   the command itself
"""
