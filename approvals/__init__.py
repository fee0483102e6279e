"""The rules of approval: what a request is, who may answer it, and what may become of it. No I/O, no clock."""
