"""Whose turn it is on which GPU: functions that do not fit there together take turns."""
