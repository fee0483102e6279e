"""Ask a human before one specific action, and act only on a verified, single-use receipt."""
