"""The data engine: from volumes and reports to examples that can be grounded."""
