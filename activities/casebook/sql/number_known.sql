-- The number that the case $1 was given, unless another case has it, and whether the casebook is being recovered.
SELECT (SELECT g.number
        FROM case_number_given AS g
        WHERE g.case_id = $1 AND NOT EXISTS (
            SELECT FROM case_file AS f WHERE f.kind = g.kind AND f.number = g.number AND f.case_id <> $1)
        ORDER BY g.at DESC, g.number DESC
        LIMIT 1) AS number,
       EXISTS (SELECT FROM casebook_recovery) AS recovering
