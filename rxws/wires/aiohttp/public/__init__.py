"""The wire on aiohttp's public methods."""
