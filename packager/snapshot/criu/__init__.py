"""CRIU: finding it, dumping with it, and images that restore by mapping."""
