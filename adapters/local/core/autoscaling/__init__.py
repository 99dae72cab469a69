"""How many instances there should be: one rule of scaling a file, each a state machine over time."""
