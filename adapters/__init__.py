"""Deploy time: a bento becomes a function on a target."""
