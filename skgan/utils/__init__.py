"""Small helpers that every package of skgan may use."""
