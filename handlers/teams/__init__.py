"""The Microsoft Teams door: one bot of one tenant, over HTTP."""
