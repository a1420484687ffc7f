"""Training by several processes: what they tell each other, how they fail together, tables that they share."""
