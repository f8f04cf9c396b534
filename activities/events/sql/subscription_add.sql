-- $1 id   $2 url   $3 types and $4 kinds or null   $5 secret   $6 retry_for   $7 and $8 what is done with
INSERT INTO subscription (id, url, types, kinds, secret, retry_for, tx, position)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING *
