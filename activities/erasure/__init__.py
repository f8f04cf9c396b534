"""Erasing what closed cases hold of persons: who asked and who decided, legal holds, and the erasing itself."""
