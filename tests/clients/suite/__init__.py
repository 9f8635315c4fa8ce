"""The client matrix: real clients, unchanged, against real servers, through Creel and without it."""
