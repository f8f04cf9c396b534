-- A message does not come again after so long.
DELETE FROM incoming_message WHERE state = 'handled' AND came_at < now() - interval '1 year'
