"""The local platform: batches, scales to zero and starts cold like a serverless backend."""
