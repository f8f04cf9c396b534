-- Units have a name for people to read, as the staff has; lists show it beside the id.

ALTER TABLE unit ADD COLUMN name text;
