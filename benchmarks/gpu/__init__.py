"""The parts of ``benchmarks/gpu.py``: each has ``rows(setup)``, which measures bit by bit."""
