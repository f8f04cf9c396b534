-- What the role of this session may do beyond writing, itself or by a role that it can become; null if nothing.
SELECT m.rolname || ' ' || why.it
FROM pg_roles AS m
CROSS JOIN (SELECT to_regclass('case_event') AS ledger) AS l
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN m.rolsuper THEN 'is a superuser'
        WHEN m.rolcreaterole THEN 'may create roles'
        WHEN m.rolreplication OR m.rolbypassrls THEN 'may replicate or pass over row security'
        WHEN m.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files')
            THEN 'reaches the files of the server'
        WHEN m.oid = (SELECT datdba FROM pg_database WHERE datname = current_database()) THEN 'owns the database'
        WHEN EXISTS (
            SELECT FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'S') AND relowner = m.oid
        ) THEN 'owns a table of the casebook'
        WHEN has_table_privilege(m.oid, l.ledger, 'UPDATE, DELETE, TRUNCATE, TRIGGER')
            OR has_any_column_privilege(m.oid, l.ledger, 'UPDATE') THEN 'may change the ledger'
        WHEN has_column_privilege(m.oid, l.ledger, 'tx', 'INSERT')
            OR has_column_privilege(m.oid, l.ledger, 'position', 'INSERT') THEN 'may order the ledger'
        WHEN has_schema_privilege(m.oid, current_schema(), 'CREATE')
            THEN format('may create in the schema %s', current_schema())
    END AS it
) AS why
WHERE pg_has_role(session_user, m.oid, 'MEMBER') AND why.it IS NOT NULL
ORDER BY m.rolname <> session_user, NOT m.rolsuper, m.rolname
LIMIT 1
