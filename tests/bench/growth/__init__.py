"""How the cost of an event grows with models, features, partitions and sparseness: it should not."""
