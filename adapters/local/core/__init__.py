"""The platform's rules as state machines: events with times in, commands out, no I/O."""
