"""The demo: a year of real flights through the whole pipeline on this machine.

Above the walk: nothing in the pipeline imports this package. `flights.py` reads the data, `model.py` trains and calls
the models, `events.py` turns their answers and the truth into events, `run.py` conducts.
"""
