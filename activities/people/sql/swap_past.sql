-- The valid swaps of these people.
SELECT initiator, counterparty, months FROM shift_swap WHERE initiator = ANY($1::text[]) OR counterparty = ANY($1::text[])
