"""Metrics, as pure functions of predictions and references without models or network."""

# The version of the definitions behind the scores' names. Results of different versions are neither
# reused nor mixed. In version 1, accuracy and recall used the clean-up of the published code. In
# version 2, they read letters of all scripts and comparison signs, the published forms have names
# of their own, and Unicode is composed first.
VERSION = 2
