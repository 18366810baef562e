"""What makes fewer states of a model: what each step may touch, what is alike, and what nobody can tell apart."""
