-- Whether the session $1 was ended before its time.
SELECT EXISTS (SELECT FROM ended_session WHERE id = $1)
