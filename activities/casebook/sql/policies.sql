-- Every policy that a case was ever pinned to.
SELECT hash, name FROM policy ORDER BY name, hash LIMIT 200
