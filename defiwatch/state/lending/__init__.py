"""What lending positions and markets of any protocol mean: distances, probabilities, remedies, ladders. Pure
arithmetic.

Two paths, held against each other in tests: exact integers where a contract's answer is at stake (`exact`,
`remedies`), floats where many positions are looked at at once (`ladder`) or nothing exact exists (`distances`,
`barrier`, `volatility`).
"""
