-- How many messages wait for a person.
SELECT count(*) FROM incoming_message WHERE state = 'open'
