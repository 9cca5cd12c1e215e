"""Tables of samples: CSV files and workbooks, their columns, and the paths in them."""
