"""What surrounds a question: questions in a row, run folders, the human's part."""
