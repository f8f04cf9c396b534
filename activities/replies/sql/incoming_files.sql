-- The files of the message $1.
SELECT files FROM incoming_message WHERE id = $1
