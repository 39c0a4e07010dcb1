"""thoughtscope: a pipeline that studies language models which reason in vectors instead of words."""
