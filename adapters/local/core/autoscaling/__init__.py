"""How many instances there should be: one rule a file, each a state machine over time."""
