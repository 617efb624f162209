"""A study: adjustment strategies x seeds x conditions, trained, judged, and put in one table."""
