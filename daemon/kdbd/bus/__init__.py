"""The bus: transport, dispatch, and the methods of the service."""
