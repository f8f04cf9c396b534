-- Ask for an erasure of the cases $5; with $6 it is decided already, by $7 in the role $8 at $9.
WITH asked AS (
    INSERT INTO erasure (why, asked_by, asked_role, asked_person, approved, decided_by, decided_role, decided_at)
    VALUES ($1, $2, $3, $4, $6, $7, $8, $9)
    RETURNING id
), cases AS (
    INSERT INTO erasure_case (erasure, case_id) SELECT id, unnest($5::text[]) FROM asked
)
SELECT id FROM asked
