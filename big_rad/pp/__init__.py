"""Preprocessing: named operations on examples, prompts and the tokenizer."""
