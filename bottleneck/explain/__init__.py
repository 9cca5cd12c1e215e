"""Why a model decides as it does: where in an image, and whether that depends on the model."""
