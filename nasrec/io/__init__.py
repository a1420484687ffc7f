"""Files: written whole or not at all, read without running code; errors name the file and what is wrong with it."""
