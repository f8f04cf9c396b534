-- How $1 wants the Now page; no row before they said so.
SELECT now_sort, notify, sound, seen_at FROM preference WHERE person = $1
