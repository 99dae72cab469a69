"""What a project says about its build: bentofile.yaml, pyproject.toml, or a lone service.py."""
