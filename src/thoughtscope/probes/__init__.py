"""What can be read from hidden states: intermediate values at latents, truth of statements, activity scores.

Everything here works on arrays and frames; knows nothing about models.
"""
