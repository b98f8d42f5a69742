"""The bodies of synthetic patients, and slices through them."""
