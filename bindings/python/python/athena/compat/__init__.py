"""The interface of ``resolver_athena_client`` 1.4.0 over this package.

Edit imports (``athena.compat.client…`` for ``resolver_athena_client.client…``), or leave programs as
they are and serve them this package under the old name, with one switch::

    export PYTHONPATH=$(python -m athena.compat)

What differs, and why, is in docs/python.md. Needs protobuf; grpcio for programs that use its
channels or its errors: ``pip install 'athena-rs[compat]'``.
"""

__all__: list[str] = []
