"""How interactions and events reach the app: signed HTTP, or Socket Mode."""
