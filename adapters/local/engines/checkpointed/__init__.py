"""The engine whose instances sleep in their process, their GPU memory taken into host memory."""
