-- The views that $1 saved, and those that others of their unit share with it; nobody's who has left or moved on.
SELECT view.id, view.name, view.page, view.query, view.unit IS NOT NULL AS shared, view.person
FROM staff AS me
JOIN saved_view AS view ON view.person = me.id OR view.unit = me.unit
JOIN staff AS owner ON owner.id = view.person
WHERE me.id = $1 AND (view.person = me.id OR owner.unit = view.unit)
ORDER BY view.person <> me.id, lower(view.name), view.id
