"""How a report says what it shows: numbers, names, sentences and paragraphs."""
