"""One module for each group of commands, imported by `root` when its command is called."""
