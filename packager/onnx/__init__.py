"""Models that need no torch: exported to ONNX when the bento is built, and proved equal."""
