"""Evaluation: accuracy with its interval while a run trains, and the tables that are made from all runs."""
