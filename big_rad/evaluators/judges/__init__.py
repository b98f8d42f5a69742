"""Judges of answers: a language model behind an endpoint, and embeddings of phrases."""
