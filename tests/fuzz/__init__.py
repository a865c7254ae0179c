"""Requests of every shape to a running cloud: no answer is a server's error, and each is as openapi.json says."""
