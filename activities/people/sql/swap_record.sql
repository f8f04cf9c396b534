-- A swap that is valid from now on.
-- $1 case   $2 and $3 the two people   $4 the months in which it counts   $5 what changed   $6 when it was signed
INSERT INTO shift_swap (swap, initiator, counterparty, months, moves, signed_at) VALUES ($1, $2, $3, $4, $5, $6)
