"""What knows Snakemake: the rules' settings, code and packages; its plan; and questions about results.

params, study_rules, sources    used by the rules
jobs                            reads Snakemake's plan
results, preflight              programs
"""
