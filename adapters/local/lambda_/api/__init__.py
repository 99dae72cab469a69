"""Lambda's own API, function URLs, versions and aliases, for functions deployed ``--as lambda``."""
