"""Services whose answers come from a server of the user's: ``cmd=`` and ``__command__``."""
