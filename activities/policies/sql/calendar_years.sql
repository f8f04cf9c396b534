-- The years that were loaded.
SELECT year, published, loaded_at FROM calendar_year ORDER BY year
