"""A bento as AWS Lambda takes it: a function's zip with layers, or an image."""
