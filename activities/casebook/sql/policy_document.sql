-- The document of a policy that a case was pinned to.
SELECT document FROM policy WHERE hash = $1
