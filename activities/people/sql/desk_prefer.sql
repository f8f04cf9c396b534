-- Keep how $1 wants the Now page; what is null stays as it is. What was seen is never forgotten.
INSERT INTO preference (person, now_sort, notify, sound, seen_at)
VALUES ($1, coalesce($2::text, 'due'), coalesce($3::boolean, false), coalesce($4::boolean, false), $5::timestamptz)
ON CONFLICT (person) DO UPDATE
SET now_sort = coalesce($2::text, preference.now_sort), notify = coalesce($3::boolean, preference.notify),
    sound = coalesce($4::boolean, preference.sound), seen_at = greatest($5::timestamptz, preference.seen_at)
