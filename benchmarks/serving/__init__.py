"""What ``benchmarks/serving.py`` is made of: workloads, peers, their environments, load."""
