"""Fitted heads, what they keep, and their files."""
