"""One module for each group of commands; `bentofn.cli` imports a module when its command is called."""
