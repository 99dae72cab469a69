"""What BentoML leaves on a disk: its models, its bentos, and the archives that it exports."""
