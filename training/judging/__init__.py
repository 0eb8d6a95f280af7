"""How answers are judged: rows of what was found beside the truth, statistics, tables and plots of them. No torch."""
