"""The config of fine-tuning as the commands get it: the recipe, fitted to data and checkpoint."""

from big_rad import finetune
from configs import finetune as recipe


def config(arg):
    """Returns the fitted config of the recipe's arguments."""
    return finetune.fit(recipe.get_config(arg))
