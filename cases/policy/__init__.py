"""The numbers: the models of a policy file, their checks, inheritance, and the files that ship."""
