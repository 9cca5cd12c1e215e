"""Networks in 8-bit integers, for phones and browsers, and what the rounding costs."""
