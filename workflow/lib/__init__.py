"""The part of the code that depends on Snakemake.

params, study_rules, sources      settings, inputs, code and packages of each rule
jobs                              the jobs that Snakemake would run
cli                               the commands why, trace, verify and preflight
found, trace, verify, why, preflight    what these commands compute
"""
