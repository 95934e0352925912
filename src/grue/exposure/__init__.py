"""Who learned what: captures of a run, what is looked for in them, and what an analyst makes of a life."""
