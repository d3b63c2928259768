"""Read-only queries across parts: what the pages, the console and the API show."""
