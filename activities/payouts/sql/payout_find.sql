-- What the book has under the key $1 and of the case $2, where given; what is paid comes first.
SELECT * FROM payout WHERE key = $1 OR case_id = $2 ORDER BY state = 'paid' DESC
