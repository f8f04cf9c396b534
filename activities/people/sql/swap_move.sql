-- Give a shift to another person, if it is still the first one's.
-- $1 shift   $2 from   $3 to
UPDATE shift SET person = $3 WHERE id = $1 AND person = $2
