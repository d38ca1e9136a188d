"""The version whose interface this is."""

__version__ = "1.4.0"
