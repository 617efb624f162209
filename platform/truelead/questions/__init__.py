"""From labels to questions, answers and wordings."""
