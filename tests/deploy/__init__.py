"""What is deployed: the manifests, and what happens when replicas are replaced."""
