"""The folder of an export: its record, its README, and how it appears whole or not at all."""
