from tests.serving import client_key, running, server, server_key

__all__ = ["client_key", "running", "server", "server_key"]
