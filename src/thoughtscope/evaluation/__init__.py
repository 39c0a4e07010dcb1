"""Statistics and settings that tables and figures share: intervals over seeds and items."""
