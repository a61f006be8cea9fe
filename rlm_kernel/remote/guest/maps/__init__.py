"""Maps: a value cut into items, a question asked about each, the table of replies, its check."""
