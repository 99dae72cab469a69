"""The platform's HTTP server: its own for the functions, with aiohttp behind it for all else."""
