"""Anonymous tokens: who may draw how many, and which are spent."""
