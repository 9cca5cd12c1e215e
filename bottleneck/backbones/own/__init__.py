"""Networks that users bring: their code, their tensors and their recipe."""
