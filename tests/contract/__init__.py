"""The contract on Redis, held to the real service: by the SDK, and by hand."""
