"""A served process that somebody else checkpoints and restores: a container's runtime, or an agent
beside a pod, with CRIU, gVisor or the like. Nobody tells it; it notices.
"""
