-- Whoever was settling the message $1, until $2, has not; who has claimed it since then keeps it.
UPDATE incoming_message SET try_at = now() WHERE id = $1 AND state = 'open' AND try_at = $2
