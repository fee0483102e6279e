"""What the repository says about itself is true: files, commands, documents and pictures."""
