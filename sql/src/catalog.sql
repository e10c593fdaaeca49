-- samplit_sql::catalog: every object of the current schema as (name, definition).
-- Definitions come from PostgreSQL's own deparser, which gives one spelling for one meaning.
WITH tables AS (
    SELECT c.oid, c.relname, c.reloptions, c.relacl
    FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace
      AND c.relkind IN ('r', 'p')
      AND c.relname <> 'refinery_schema_history'
),
views AS (
    SELECT c.oid, c.relname, c.relacl
    FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'v'
)
-- How often a table is vacuumed is the operator's to tune.
SELECT format('table %s', t.relname),
       array_to_string(ARRAY(SELECT o FROM unnest(t.reloptions) o
                             WHERE o NOT LIKE 'autovacuum%' ORDER BY o), ', ')
FROM tables t
UNION ALL
SELECT format('column %s.%s', t.relname, a.attname),
       concat_ws(' ', format_type(a.atttypid, a.atttypmod),
                 CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid),
                 CASE WHEN a.attidentity <> '' OR a.attgenerated <> '' THEN 'GENERATED' END)
FROM tables t
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
UNION ALL
-- NOT NULL is part of the column; from version 18 on it is also a constraint, which is left out.
SELECT format('constraint %s.%s', t.relname, k.conname), pg_get_constraintdef(k.oid)
FROM tables t
JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x')
UNION ALL
-- The index of a primary key or unique constraint is told by the constraint.
SELECT format('index %s.%s', t.relname, c.relname),
       replace(pg_get_indexdef(i.indexrelid),
               format(' ON %I.', current_schema()), ' ON ')
       || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
FROM tables t
JOIN pg_index i ON i.indrelid = t.oid
JOIN pg_class c ON c.oid = i.indexrelid
WHERE NOT EXISTS (
    SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT format('trigger %s.%s', t.relname, g.tgname),
       pg_get_triggerdef(g.oid, true)
       || CASE g.tgenabled WHEN 'A' THEN ' ENABLE ALWAYS' WHEN 'D' THEN ' DISABLED'
                           WHEN 'R' THEN ' ENABLE REPLICA' ELSE '' END
FROM tables t
JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
UNION ALL
SELECT format('function %s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)),
       concat_ws(' ', 'RETURNS', format_type(p.prorettype, NULL),
                 CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' END,
                 'SET ' || array_to_string(p.proconfig, ', '), 'BODY', md5(p.prosrc))
FROM pg_proc p
WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'samplit\_%'
UNION ALL
-- What a view is to whoever reads it. Its text is spelled differently from version to version.
SELECT format('view %s', v.relname),
       (SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
        FROM pg_attribute a WHERE a.attrelid = v.oid AND a.attnum > 0)
FROM views v
UNION ALL
SELECT format('grant %s on %s', coalesce(r.rolname, 'PUBLIC'), t.relname),
       string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)
FROM (SELECT relname, relacl FROM tables UNION ALL SELECT relname, relacl FROM views) t
CROSS JOIN LATERAL aclexplode(t.relacl) x
LEFT JOIN pg_roles r ON r.oid = x.grantee
WHERE x.grantee = 0 OR r.rolname IN ('samplit_app', 'samplit_auditor', 'samplit_reader')
GROUP BY 1
UNION ALL
SELECT format('grant %s on %s.%s', r.rolname, t.relname, a.attname),
       string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)
FROM tables t
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN LATERAL aclexplode(a.attacl) x
JOIN pg_roles r ON r.oid = x.grantee
WHERE r.rolname IN ('samplit_app', 'samplit_auditor', 'samplit_reader')
GROUP BY 1
UNION ALL
SELECT format('role %s', rolname), ''
FROM pg_roles
WHERE rolname IN ('samplit_app', 'samplit_auditor', 'samplit_reader')
