-- The last serial given, per kind and month.
SELECT kind, year, month, serial FROM case_number
