-- $1 id   $2 url   $3 types and $4 kinds or null   $5 secret   $6 retry_for   $7 and $8 what is done with   $9 texts
INSERT INTO subscription (id, url, types, kinds, secret, retry_for, tx, position, texts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING *
