"""Tables of a comparison: for a manuscript, for a spreadsheet and for the terminal."""
