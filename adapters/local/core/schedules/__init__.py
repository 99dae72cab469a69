"""When functions are called by the clock, as EventBridge Scheduler does it, without any I/O."""
