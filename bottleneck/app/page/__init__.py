"""The page of the app: what frames its tabs, its templates and its style."""
