"""How well localizers find synthetic regions: maps of labelled images -> scores.csv -> tables."""
