"""Networks that kill or hang what runs them: alone, last, and in the end not again."""
