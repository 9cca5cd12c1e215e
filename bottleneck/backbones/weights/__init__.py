"""Where weights come from: a file, the weights folder, or the Hugging Face hub."""
