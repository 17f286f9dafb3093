"""Is the data sound, and does it come: schema, values, volume, silence, and answers that are certain and wrong."""
