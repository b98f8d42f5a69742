"""The models, in pure Flax linen: each module offers `Model` and `load`."""
