-- Every policy that a case was pinned to.
SELECT hash, document FROM policy ORDER BY hash
