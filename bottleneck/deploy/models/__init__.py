"""Fitted heads, and their files."""
