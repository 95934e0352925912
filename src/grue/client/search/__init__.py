"""Search in what this home holds: texts are folded, and every part of a word is found."""
