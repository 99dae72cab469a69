"""The GPUs of this machine, and what functions do about them: they take turns, and sleep."""
