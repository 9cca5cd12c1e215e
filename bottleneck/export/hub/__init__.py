"""Plain timm checkpoints of binary heads, as the Hugging Face Hub and transformers read them."""
