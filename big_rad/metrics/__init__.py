"""Metrics: pure functions of predictions and references; no model, no files, no network."""

# Version of what the scores' names mean; results of another one are neither reused nor mixed.
# 1: accuracy and recall cleaned up as published. 2: these read letters of all scripts and
# comparison signs, and the published forms have names of their own; Unicode is composed first.
VERSION = 2
