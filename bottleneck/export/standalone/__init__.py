"""Programs for folders of exports, which run without this package."""
