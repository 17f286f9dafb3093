"""What was found in a year of flights, and when: `docs/flights.md`, from a run of the demo."""
