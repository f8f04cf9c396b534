-- End the session $1, which would have ended by itself at $2. What would have by now is forgotten, a day later since
-- the clocks of servers differ.
WITH forgotten AS (
    DELETE FROM ended_session WHERE expires_at < now() - interval '1 day'
)
INSERT INTO ended_session (id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING
