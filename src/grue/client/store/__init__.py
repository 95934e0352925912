"""The home and its encrypted database: the engine and the schema. Each room has its own queries."""
