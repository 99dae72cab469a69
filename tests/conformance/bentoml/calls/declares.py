"""What ``cases/declares.py`` is asked."""

from differential import as_json

CALLS = [
    as_json(what.replace("_", " "), "/tries", {"what": what})
    for what in (
        *("optional_file", "files_as_a_result", "call", "unknown_key", "unknown_resource"),
        *("without_effect", "deployment", "runner", "log_config_file", "monitor_after_an_error"),
        *("no_endpoint_of_a_dependency", "instances_of_a_shared_dependency"),
    )
]
