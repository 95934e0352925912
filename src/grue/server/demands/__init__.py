"""Demands for data: what this server could answer about a number, and what it could note from now on."""
