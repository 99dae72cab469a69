"""The target ``modal``: bentos as apps of Modal, made and deployed with Modal's own client."""
