"""Modules by the names that programs know."""
