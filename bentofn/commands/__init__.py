"""One module for each group of commands, imported by `bentofn.cli` when its command is called."""
