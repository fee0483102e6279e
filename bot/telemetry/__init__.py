"""What the running service tells its operators: metrics, spans, and whether it is ready to decide."""
