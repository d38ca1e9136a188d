"""The service's own file has no messages: those of models_pb2 are the whole contract."""
