-- Every policy that a case was pinned to.
SELECT hash, name, document FROM policy ORDER BY hash
