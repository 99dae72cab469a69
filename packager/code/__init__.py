"""What a build knows of a project's code: its files, its contract, its bytecode."""
