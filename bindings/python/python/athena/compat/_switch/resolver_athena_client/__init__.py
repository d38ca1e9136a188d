"""Serves :mod:`athena.compat` under the name of the earlier client."""

import athena.compat

# Modules are looked up where those of `athena.compat` are, under this package's name, so that
# loggers and patches keep the names that programs know.
__path__ = list(athena.compat.__path__)
