"""Tasks: calls that are submitted now, run when there is room, and are asked for later."""
