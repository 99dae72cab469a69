"""``bentofn serve`` of several processes: the services of a bento, and the workers of each."""
