"""AWS Lambda's side of the local platform: the Runtime API and the environments that speak it.

- :mod:`invocation` has what goes into an environment and what comes out.
- :mod:`runtime_api` is the Runtime API without I/O; :mod:`server` serves it on a port.
- :mod:`runtime` is one process that asks it for work, with its :mod:`output`.
- :mod:`environment` keeps such a process and starts another when it ends, as Lambda does.
- :mod:`snapstart` keeps processes that wait at ``/restore/next``.
- :mod:`launcher` starts the environments of a deployed function, made as :mod:`setup` says.
- :mod:`api` is what callers see: the Invoke API, function URLs and asynchronous invocations.
"""
