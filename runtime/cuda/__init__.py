"""The few calls of NVIDIA's driver that the runtime makes, by ctypes: no CUDA package is needed."""
