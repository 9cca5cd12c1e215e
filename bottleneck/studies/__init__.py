"""Studies: one TOML file each, with data, protocols, arms and published figures."""
