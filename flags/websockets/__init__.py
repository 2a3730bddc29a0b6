"""Websockets: for SDKs, for browsers' SDKs, for the dashboard's pages. Never imports another door."""
