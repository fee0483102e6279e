"""The rules, met one by one and then together."""
