"""From Python to C: a model's functions are read into typed trees, from which comes everything else that is known of them."""
