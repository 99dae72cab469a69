"""A small target of bentofn's: functions in a folder, a process for each call."""
