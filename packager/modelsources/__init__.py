"""Where models come from: a file or a folder, the Hugging Face hub, BentoML's own store."""
