-- Verifies the audit trail of an experiment with psql alone: PostgreSQL 13 or newer, no extension, no right
-- but to make temporary objects. Everything happens in one transaction that is rolled back.
--
--   psql -X -f sql/verify.sql < bundle.ndjson                     a bundle, in any database
--   psql -X -v experiment=UUID -f sql/verify.sql                  in place, as samplit_auditor
--   ... -v draw_key=HEX                                           before the seal reveals the key
--
-- Checked: canonical form, chain, no gap, time, the Merkle root at every checkpoint, redactions and restores,
-- every draw (HMAC-SHA-256), the arm that it chooses, the age of its weights, one assignment per visitor and
-- element, conversions, the counts of every reallocation and of the seal; in place also the head.
-- Not checked: signatures, and that weights follow from the counts. verify.py does both.
-- The last line says `sound`, or an error names the first wrong entry and psql exits with 3.
\set ON_ERROR_STOP on
\set QUIET on
\pset pager off
\pset footer off
\encoding UTF8
\if :{?draw_key} \else \set draw_key '' \endif
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL client_min_messages = warning;
SET LOCAL work_mem = '256MB';
SET LOCAL standard_conforming_strings = on;
SELECT set_config('verify.draw_key', :'draw_key', true) AS draw_key \gset given_

CREATE TEMP TABLE line (number BIGINT GENERATED ALWAYS AS IDENTITY, line TEXT) ON COMMIT DROP;
CREATE TEMP TABLE header (experiment TEXT, revealed TEXT) ON COMMIT DROP;
-- `place` orders everything: the number of the line, or twice the sequence number.
CREATE TEMP TABLE entry (place BIGINT, n BIGINT, sequence BIGINT, previous TEXT, id TEXT, kind TEXT, us BIGINT, data JSONB,
    payload TEXT, stub TEXT, hash TEXT) ON COMMIT DROP;
CREATE TEMP TABLE note (place BIGINT, after BIGINT, abandoned BOOLEAN, note TEXT, origin TEXT, size NUMERIC, root TEXT) ON COMMIT DROP;
CREATE TEMP TABLE fault (place BIGINT, rank INT, n BIGINT, what TEXT) ON COMMIT DROP;
CREATE TEMP TABLE node (level INT, index BIGINT, hash BYTEA) ON COMMIT DROP;

-- The canonical form of a value of the profile; NULL of any other.
CREATE FUNCTION pg_temp.canonical(v JSONB, depth INT) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    CASE jsonb_typeof(v)
    WHEN 'object' THEN
        RETURN CASE WHEN depth <= 8 THEN (
            SELECT CASE WHEN count(*) = count(item) THEN '{' || coalesce(string_agg(item, ',' ORDER BY key COLLATE "C"), '') || '}' END
            FROM (SELECT key, CASE WHEN key ~ '^[a-z][a-z0-9_]{0,63}$' AND key <> 'payload_sha256' THEN '"' || key || '":' || CASE
                    WHEN jsonb_typeof(value) IN ('string', 'boolean') THEN value::text
                    ELSE pg_temp.canonical(value, depth + 1) END END AS item
                FROM jsonb_each(v)) items) END;
    WHEN 'array' THEN
        RETURN CASE WHEN depth <= 8 THEN (
            SELECT CASE WHEN count(*) = count(item) THEN '[' || coalesce(string_agg(item, ',' ORDER BY place), '') || ']' END
            FROM (SELECT place, pg_temp.canonical(value, depth + 1) AS item
                FROM jsonb_array_elements(v) WITH ORDINALITY AS a(value, place)) items) END;
    WHEN 'number' THEN
        RETURN CASE WHEN v::text ~ '^(0|-?[1-9][0-9]{0,15})$' AND abs(v::numeric) < 9007199254740992 THEN v::text END;
    WHEN 'null' THEN RETURN NULL;
    ELSE RETURN v::text;
    END CASE;
END $$;

CREATE FUNCTION pg_temp.payload(v JSONB) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN octet_length(text) <= 16384 THEN text END FROM (SELECT CASE
        WHEN jsonb_typeof(v) <> 'object' THEN NULL
        WHEN v::text ~ '^\{"payload_sha256": "[0-9a-f]{64}"\}$' THEN replace(v::text, ' ', '')
        ELSE pg_temp.canonical(v, 1) END AS text) t
$$;

CREATE FUNCTION pg_temp.sha(text TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT encode(sha256(convert_to(text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION pg_temp.is_count(v JSONB) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_typeof(v) = 'number' AND v >= '0'
$$;

CREATE FUNCTION pg_temp.is_hex(digits TEXT, length INT) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS $$
    SELECT length(digits) = length AND translate(digits, '0123456789abcdef', '') = ''
$$;

-- The real whose IEEE-754 bits these are, as long as it is finite.
CREATE FUNCTION pg_temp.real(digits TEXT) RETURNS DOUBLE PRECISION LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN bits < 0 THEN -1 ELSE 1 END * CASE
        WHEN exponent = 0 THEN fraction / 4503599627370496.0::float8 * 2.0::float8 ^ (-1022)
        ELSE (1 + fraction / 4503599627370496.0::float8) * 2.0::float8 ^ (exponent - 1023) END
    FROM (SELECT bits, (bits >> 52) & 2047 AS exponent, (bits & 4503599627370495)::float8 AS fraction
        FROM (SELECT ('x' || digits)::bit(64)::bigint AS bits) b) f
$$;

-- The Merkle root over the first `size` entries, from the complete subtrees in `node`.
CREATE FUNCTION pg_temp.root(size BIGINT) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    done BIGINT := size;
    node_hash BYTEA;
    root BYTEA;
BEGIN
    FOR bit IN 0..62 LOOP
        CONTINUE WHEN (size >> bit) & 1 = 0;
        done := done - (1::bigint << bit);
        SELECT hash INTO node_hash FROM node WHERE level = bit AND index = done >> bit;
        root := CASE WHEN root IS NULL THEN node_hash ELSE sha256('\x01'::bytea || node_hash || root) END;
    END LOOP;
    RETURN encode(root, 'hex');
END $$;

-- Base64 that could not be spelled otherwise.
CREATE FUNCTION pg_temp.is_base64(text TEXT) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN text ~ '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
        THEN replace(encode(decode(text, 'base64'), 'base64'), E'\n', '') = text ELSE false END
$$;

\if :{?experiment}
INSERT INTO header SELECT :'experiment'::uuid::text, (
    SELECT decision_data ->> 'draw_key_hex' FROM algorithm_audit_trail
    WHERE experiment_id = :'experiment'::uuid AND decision_type = 'seal' AND decision_type NOT IN ('assignment', 'conversion')
    ORDER BY sequence_number LIMIT 1);
INSERT INTO entry
    SELECT 2 * row_number() OVER (ORDER BY sequence_number), row_number() OVER (ORDER BY sequence_number), sequence_number,
        previous_hash, id, decision_type, round(extract(epoch FROM created_at) * 1000000)::bigint,
        decision_data, pg_temp.payload(decision_data), decision_data ->> 'payload_sha256', current_hash
    FROM algorithm_audit_trail WHERE experiment_id = :'experiment'::uuid;
-- A checkpoint is abandoned if the next incarnation begins with a restore entry at or before its size, or if it was
-- taken over from outside, without a frontier.
INSERT INTO note (place, after, abandoned, note)
    SELECT 2 * coalesce(r.sequence - 1, c.size) + 1, coalesce(r.sequence - 1, c.size), r.sequence IS NOT NULL, c.note
    FROM audit_checkpoints c LEFT JOIN LATERAL (
        SELECT sequence FROM entry WHERE kind = 'restore' AND data ->> 'incarnation' = (c.incarnation + 1)::text
            AND (sequence <= c.size OR c.frontier IS NULL) ORDER BY sequence LIMIT 1) r ON true
    WHERE c.experiment_id = :'experiment'::uuid ORDER BY c.size;
\else
-- CSV whose quote and delimiter never occur keeps every line as it is, backslashes too.
\copy line (line) from pstdin with (format csv, quote E'\x01', delimiter E'\x02', encoding 'UTF8')
CREATE TEMP TABLE parsed (number BIGINT, line TEXT, j JSONB) ON COMMIT DROP;
DO $$
DECLARE
    l RECORD;
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN RAISE EXCEPTION 'the database has to be UTF8'; END IF;
    INSERT INTO parsed SELECT number, line, line::jsonb FROM line;
EXCEPTION WHEN data_exception OR statement_too_complex THEN
    FOR l IN SELECT * FROM line ORDER BY number LOOP
        BEGIN
            INSERT INTO parsed VALUES (l.number, l.line, l.line::jsonb);
        EXCEPTION WHEN data_exception OR statement_too_complex THEN
            INSERT INTO fault VALUES (l.number, 0, NULL, format('line %s is not JSON', l.number));
            EXIT;
        END;
    END LOOP;
END $$;
INSERT INTO header SELECT
    (SELECT line::jsonb ->> 'experiment_id' FROM parsed WHERE number = 1 AND line ~ '^\{"alg":"samplit-audit-v1","experiment_id":"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}","genesis":"[0-9a-f]{64}","kind":"bundle","version":1\}$'),
    (SELECT j ->> 'draw_key_hex' FROM parsed WHERE number = 2 AND line ~ '^\{"draw_key_hex":"[0-9a-f]{64}","kind":"reveal"\}$');
INSERT INTO entry
    SELECT number, row_number() OVER (ORDER BY number),
        CASE WHEN j ->> 'sequence_number' ~ '^[0-9]{1,16}$' THEN (j ->> 'sequence_number')::bigint END,
        j ->> 'previous_hash', j ->> 'id', j ->> 'decision_type',
        CASE WHEN j ->> 'created_at_us' ~ '^-?[0-9]{1,16}$' THEN (j ->> 'created_at_us')::bigint END,
        j -> 'decision_data', pg_temp.payload(j -> 'decision_data'), j -> 'decision_data' ->> 'payload_sha256', j ->> 'current_hash'
    FROM parsed WHERE jsonb_typeof(j) = 'object' AND j ->> 'kind' = 'entry';
INSERT INTO note (place, after, abandoned, note)
    SELECT p.number, (SELECT count(*) FROM entry e WHERE e.place < p.number), p.j ->> 'kind' = 'abandoned', p.j ->> 'note'
    FROM parsed p WHERE jsonb_typeof(j) = 'object' AND p.j ->> 'kind' IN ('checkpoint', 'abandoned');
-- Every line is spelled as it would be written from what was read.
INSERT INTO fault SELECT p.number, 1, NULL, format('line %s is not of the format, or not in its canonical form', p.number)
    FROM parsed p LEFT JOIN entry e ON e.place = p.number LEFT JOIN note n ON n.place = p.number
    WHERE p.line IS DISTINCT FROM CASE
        WHEN e.place IS NOT NULL THEN format('{"created_at_us":%s,"current_hash":"%s","decision_data":%s,"decision_type":"%s","id":"%s","kind":"entry","previous_hash":"%s","sequence_number":%s}',
            e.us, e.hash, e.payload, e.kind, e.id, e.previous, e.sequence)
        WHEN n.place IS NOT NULL THEN format('{"kind":"%s","note":%s}', CASE WHEN n.abandoned THEN 'abandoned' ELSE 'checkpoint' END, to_json(n.note))
        WHEN p.number = 1 THEN (SELECT format('{"alg":"samplit-audit-v1","experiment_id":"%s","genesis":"%s","kind":"bundle","version":1}', experiment,
            pg_temp.sha(format(E'samplit-audit/genesis/v1\n%s\n', experiment))) FROM header)
        WHEN p.number = 2 AND (SELECT revealed FROM header) IS NOT NULL THEN p.line
        WHEN p.number = (SELECT max(number) FROM line) AND p.line ~ '^\{"count":[0-9]{1,16},"kind":"end"\}$' THEN p.line END
    OR (e.place IS NOT NULL AND (e.id !~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' OR e.us IS NULL OR abs(e.us) >= 9007199254740992 OR e.sequence IS NULL));
INSERT INTO fault SELECT l.number, 2, NULL, format('line %s: an empty line', l.number) FROM line l WHERE l.line IS NULL;
INSERT INTO fault SELECT greatest(max(number), 1), 9, NULL, 'the end line is missing' FROM line
    HAVING coalesce((SELECT line FROM line ORDER BY number DESC LIMIT 1), '') !~ '^\{"count":[0-9]{1,16},"kind":"end"\}$';
INSERT INTO fault SELECT p.number, 3, NULL, 'the number of entries is not that of the end line' FROM parsed p
    WHERE p.line ~ '^\{"count":[0-9]{1,16},"kind":"end"\}$' AND (p.j ->> 'count')::bigint <> (SELECT count(*) FROM entry);
INSERT INTO fault SELECT (SELECT max(number) FROM line), 9, NULL, 'a reveal line and a seal entry go together' FROM header
    WHERE (revealed IS NOT NULL) <> EXISTS (SELECT FROM entry WHERE kind = 'seal');
\endif
INSERT INTO fault SELECT number, 1, NULL, format('line %s is too long', number) FROM line WHERE octet_length(line) >= 17408;

-- What is behind the first fault of form is not looked at: its columns may be anything.
INSERT INTO fault SELECT place, 1, n, 'the payload is outside the profile' FROM entry WHERE payload IS NULL;
DELETE FROM entry WHERE place >= (SELECT min(place) FROM fault);
DELETE FROM note WHERE place > (SELECT min(place) FROM fault);
UPDATE entry SET stub = NULL WHERE stub IS NOT NULL AND payload !~ '^\{"payload_sha256":"[0-9a-f]{64}"\}$';
CREATE UNIQUE INDEX ON entry (n);
ANALYZE entry;

-- The chain.
INSERT INTO fault SELECT place, 2, n, format('is missing; here stands number %s', sequence) FROM entry WHERE sequence <> n;
INSERT INTO fault SELECT place, 3, n, 'does not link to the entry before it'
    FROM (SELECT place, n, previous, lag(hash) OVER (ORDER BY n) AS before FROM entry) e, header
    WHERE previous IS DISTINCT FROM coalesce(before, pg_temp.sha(format(E'samplit-audit/genesis/v1\n%s\n', experiment)));
INSERT INTO fault SELECT place, 4, n, 'was altered: its hash is not that of its content' FROM entry, header
    WHERE hash IS DISTINCT FROM pg_temp.sha(concat(E'samplit-audit/entry/v1\n', experiment, E'\n', sequence, E'\n', previous, E'\n', id,
        E'\n', kind, E'\n', us, E'\n', coalesce(stub, pg_temp.sha(payload)), E'\n'));
INSERT INTO fault SELECT place, 5, n, 'is out of place: genesis is the first entry and only the first' FROM entry WHERE (kind = 'genesis') <> (n = 1);
INSERT INTO fault SELECT place, 6, n, 'is earlier than the entry before it'
    FROM (SELECT place, n, us, lag(us) OVER (ORDER BY n) AS before FROM entry) e WHERE us < before;
INSERT INTO fault SELECT 0, 9, NULL, 'the trail is empty' WHERE NOT EXISTS (SELECT FROM entry) AND NOT EXISTS (SELECT FROM fault);

-- The Merkle tree (RFC 6962): all complete subtrees, level by level.
INSERT INTO node SELECT 0, n - 1, sha256('\x00'::bytea || decode(hash, 'hex')) FROM entry WHERE hash ~ '^([0-9a-f]{2}){32}$';
CREATE UNIQUE INDEX ON node (level, index);
ANALYZE node;
DO $$
BEGIN
    FOR below IN 0..61 LOOP
        INSERT INTO node SELECT below + 1, l.index / 2, sha256('\x01'::bytea || l.hash || r.hash)
            FROM node l JOIN node r ON r.level = below AND r.index = l.index + 1 WHERE l.level = below AND l.index % 2 = 0;
        EXIT WHEN NOT FOUND;
    END LOOP;
END $$;
ANALYZE node;

-- Checkpoints: the note itself, then its origin, size and root.
UPDATE note SET origin = m[1], size = m[2]::numeric, root = m[3]
    FROM (SELECT place, note AS text, regexp_match(note, '^([^\n]+)\n(0|[1-9][0-9]{0,19})\n([A-Za-z0-9+/]{43}=)\n\n(— [^[:space:]+]+ [A-Za-z0-9+/]{6,}={0,2}\n){1,100}$') AS m FROM note) p
    WHERE p.place = note.place AND p.text = note.note;
INSERT INTO fault SELECT place, 1, after, 'here is a checkpoint that is not a signed note' FROM note WHERE origin IS NULL
    OR note ~ '[\u0001-\u0009\u000b-\u001f\u007f-\u009f]' OR NOT pg_temp.is_base64(root) OR size >= 18446744073709551616
    OR EXISTS (SELECT FROM regexp_split_to_table(split_part(note, E'\n\n', 2), E'\n') s WHERE s <> '' AND NOT pg_temp.is_base64(split_part(s, ' ', 3)));
UPDATE note SET root = encode(decode(root, 'base64'), 'hex') WHERE pg_temp.is_base64(root);
INSERT INTO fault SELECT place, 2, after, 'here is a checkpoint of another trail' FROM note
    WHERE origin IS DISTINCT FROM (SELECT data ->> 'origin' FROM entry WHERE n = 1 AND after >= 1);
INSERT INTO fault SELECT place, 3, after, format('entries are missing, or it is out of place: here is a checkpoint of %s entries', size)
    FROM note WHERE NOT abandoned AND size <> after;
INSERT INTO fault SELECT place, 4, after, 'a checkpoint shows another history up to here'
    FROM note WHERE NOT abandoned AND size = after AND root IS DISTINCT FROM pg_temp.root(after);
INSERT INTO fault SELECT o.place, 5, o.after, 'abandoned checkpoints are not in order of size, or not right before their restore'
    FROM (SELECT *, lag(abandoned) OVER w AS before, lag(size) OVER w AS before_size, lag(after) OVER w AS before_after FROM note
        WINDOW w AS (ORDER BY place, size)) o
    WHERE before AND after = before_after AND (NOT abandoned OR size < before_size);

-- Redactions, restores, the seal.
INSERT INTO fault SELECT place, 7, n, 'is redacted, but only assignments and conversions may be' FROM entry
    WHERE stub IS NOT NULL AND kind NOT IN ('assignment', 'conversion');
CREATE TEMP TABLE grammar (kind TEXT, pattern TEXT) ON COMMIT DROP;
DO $$
DECLARE
    i CONSTANT TEXT := '[0-9]+';
    s CONSTANT TEXT := '"([^"\\]|\\.)*"';
    h CONSTANT TEXT := '"[0-9a-f]{64}"';
    f CONSTANT TEXT := '"(?![7f]ff)[0-9a-f]{16}"';
    u CONSTANT TEXT := '"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"';
    many CONSTANT TEXT := '\[(%s(,%s)*)?\]';
    integers CONSTANT TEXT := format(many, i, i);
    arm CONSTANT TEXT := format('\{"arm":%s,"name":%s,("variant_id":%s|"variant_ids":%s)\}', i, s, u, format(many, u, u));
    arms CONSTANT TEXT := format(many, arm, arm);
    draw CONSTANT TEXT := format('\{"arms":%s,"element":%s,"element_id":%s,"weights_ppb":%s\}', arms, i, u, integers);
    count CONSTANT TEXT := format('\{"arm":%s,"element":%s,"n":%s,"s":%s\}', i, i, i, i);
    state CONSTANT TEXT := format('\{("active":false,)?"alpha_f64":%s,"arm":%s,"beta_f64":%s,"n":%s,"p_best_f64":%s,"s":%s\}', f, i, f, i, f, i);
    states CONSTANT TEXT := format(many, state, state);
    block CONSTANT TEXT := format('\{"arms":%s,"element":%s,"weights_ppb":%s\}', states, i, integers);
    total CONSTANT TEXT := format('\{"arm":%s,"n":%s,"s":%s\}', i, i, i);
    totals CONSTANT TEXT := format(many, total, total);
    final CONSTANT TEXT := format('\{"arms":%s,"element":%s\}', totals, i);
BEGIN
    INSERT INTO grammar VALUES
    ('genesis', format('\{"alg":"samplit-audit-v1",("arms":%s,)?("carried":%s,)?"config_sha256":%s,"draw_key_commitment":%s,("elements":%s,)?"floor_ppb":[0-9]{1,9},("hypothesis_sha256":%s,)?"max_snapshot_lag_us":%s,"mode":"(single|independent|factorial)","origin":"([^"\\]|\\[^n])+","policy":"(thompson|top_two|fixed)","prior":\{"alpha_f64":%s,"beta_f64":%s\},"strategy":"(adaptive|fixed)","warm_up":%s(,"weights_ppb":%s)?\}',
        arms, format(many, count, count), h, h, format(many, draw, draw), h, i, f, f, i, integers)),
    ('reallocation', format('\{("arms":%s|"elements":%s),"method":"(uniform|thompson|top_two|fixed)","upto_seq":%s(,"weights_ppb":%s)?\}', states, format(many, block, block), i, integers)),
    ('seal', format('\{("arms":%s,)?"draw_key_hex":%s(,"elements":%s)?\}', totals, h, format(many, final, final))),
    ('redaction', format('\{"reason":%s,"sequence":%s\}', s, i)),
    ('restore', format('\{"incarnation":%s,"reason":%s,"root_hex":%s,"size":%s\}', i, s, h, i));
END $$;
-- Patterns for the few. PostgreSQL takes a millisecond for a long one, so the many are written again from their values.
INSERT INTO fault SELECT place, 8, n, format('is not a %s of the format', e.kind) FROM entry e LEFT JOIN grammar g USING (kind)
    WHERE stub IS NULL AND kind NOT IN ('assignment', 'conversion') AND (payload ~ ('^' || g.pattern || '$')) IS NOT TRUE;
INSERT INTO fault SELECT place, 8, n, 'is not an assignment of the format' FROM entry WHERE stub IS NULL AND kind = 'assignment' AND (
    payload = concat('{"arm":', data -> 'arm', ',"draw":', data -> 'draw', ',"element":' || (data ->> 'element'), ',"r_ppb":', data -> 'r_ppb',
        ',"snapshot_seq":', data -> 'snapshot_seq', ',"u64_hex":"', data ->> 'u64_hex', '","visitor":"', data ->> 'visitor', '"}')
    AND pg_temp.is_count(data -> 'arm') AND pg_temp.is_count(data -> 'draw') AND pg_temp.is_count(coalesce(data -> 'element', '0'))
    AND pg_temp.is_count(data -> 'r_ppb') AND pg_temp.is_count(data -> 'snapshot_seq')
    AND pg_temp.is_hex(data ->> 'u64_hex', 16) AND pg_temp.is_hex(data ->> 'visitor', 64)) IS NOT TRUE;
INSERT INTO fault SELECT place, 8, n, 'is not a conversion of the format' FROM entry WHERE stub IS NULL AND kind = 'conversion' AND (
    payload = concat('{"arm":' || (data ->> 'arm'), '{"arms":' || replace(data ->> 'arms', ' ', ''), ',"assignment_seq":', data -> 'assignment_seq',
        ',"goal":', data -> 'goal', ',"value_f64":"', data ->> 'value_f64', '","visitor":"', data ->> 'visitor', '"}')
    AND pg_temp.is_count(coalesce(data -> 'arm', '0')) AND coalesce(data ->> 'arms', '[]') ~ '^\[([0-9]+(, [0-9]+)*)?\]$'
    AND pg_temp.is_count(data -> 'assignment_seq') AND jsonb_typeof(data -> 'goal') = 'string' AND pg_temp.is_hex(data ->> 'value_f64', 16)
    AND data ->> 'value_f64' < '7ff' COLLATE "C" AND pg_temp.is_hex(data ->> 'visitor', 64)) IS NOT TRUE;
-- Lists by element, in order, with the weights that belong to them.
CREATE TEMP TABLE block (n BIGINT, element INT, arms JSONB, weights JSONB) ON COMMIT DROP;
INSERT INTO block SELECT n, (b.place - 1)::int, b.block -> 'arms', b.block -> 'weights_ppb'
    FROM entry, jsonb_array_elements(CASE WHEN data ? 'elements' THEN data -> 'elements' ELSE jsonb_build_array(data) END) WITH ORDINALITY AS b(block, place)
    WHERE kind IN ('genesis', 'reallocation', 'seal') AND stub IS NULL AND n < ALL (SELECT f.n FROM fault f WHERE rank = 8);
CREATE TEMP TABLE arm ON COMMIT DROP AS
    SELECT b.n, e.place, e.kind, element, (a.place - 1)::int AS arm, a.arm AS data, coalesce((weights ->> (a.place - 1)::int)::bigint, 0) AS weight
    FROM block b JOIN entry e USING (n), jsonb_array_elements(arms) WITH ORDINALITY AS a(arm, place);
INSERT INTO fault SELECT e.place, 9, e.n, format('is not a %s of the format', e.kind) FROM block b JOIN entry e USING (n)
    WHERE (data ? 'arms') = (data ? 'elements') OR (data ? 'weights_ppb') <> (data ? 'arms' AND e.kind <> 'seal')
    OR data -> 'elements' -> element ->> 'element' <> element::text
    OR (e.kind <> 'seal' AND (jsonb_array_length(weights) <> jsonb_array_length(arms)
        OR (SELECT sum(w::bigint) FROM jsonb_array_elements_text(weights) w) IS DISTINCT FROM 1000000000));
INSERT INTO fault SELECT place, 9, n, format('is not a %s of the format', kind) FROM arm
    WHERE data ->> 'arm' <> arm::text OR (data ? 'active' AND weight > 0)
    OR pg_temp.real(data ->> 'p_best_f64') NOT BETWEEN 0 AND 1;
INSERT INTO fault SELECT e.place, 9, 1, 'is not a genesis of the format' FROM entry e WHERE n = 1 AND kind = 'genesis' AND (
    (data ? 'elements') <> (data ->> 'mode' = 'independent') OR NOT EXISTS (SELECT FROM block WHERE n = 1)
    OR EXISTS (SELECT FROM arm a WHERE a.n = 1 AND (a.data ? 'variant_ids') <> (e.data ->> 'mode' = 'factorial'))
    OR pg_temp.real(data -> 'prior' ->> 'alpha_f64') <= 0 OR pg_temp.real(data -> 'prior' ->> 'beta_f64') <= 0 OR data -> 'carried' = '[]'
    OR EXISTS (SELECT FROM (SELECT c, lag(c) OVER (ORDER BY place) AS before FROM jsonb_array_elements(data -> 'carried') WITH ORDINALITY AS x(c, place)) x
        WHERE ((before ->> 'element')::bigint, (before ->> 'arm')::bigint) >= ((c ->> 'element')::bigint, (c ->> 'arm')::bigint)
        OR (c ->> 's')::bigint > (c ->> 'n')::bigint
        OR NOT EXISTS (SELECT FROM arm a WHERE a.n = 1 AND a.element::text = c ->> 'element' AND a.arm::text = c ->> 'arm')));
INSERT INTO fault SELECT place, 9, n, 'is not an assignment of the format' FROM entry WHERE kind = 'assignment' AND stub IS NULL
    AND data ->> 'draw' <> coalesce(data ->> 'element', '0');
-- Entries behind a payload that is not of its kind are not replayed either.
DELETE FROM entry WHERE place > (SELECT min(place) FROM fault);
UPDATE entry SET data = '{}', kind = kind || '?' WHERE n IN (SELECT n FROM fault WHERE rank IN (8, 9));
ANALYZE entry;

INSERT INTO fault SELECT r.place, 10, r.n, format('redacts entry %s, whose payload is there', r.data ->> 'sequence') FROM entry r
    WHERE r.kind = 'redaction' AND (
        NOT EXISTS (SELECT FROM entry e WHERE e.n = (r.data ->> 'sequence')::bigint AND e.stub IS NOT NULL AND e.n < r.n)
        OR EXISTS (SELECT FROM entry o WHERE o.kind = 'redaction' AND o.data -> 'sequence' = r.data -> 'sequence' AND o.n < r.n));
INSERT INTO fault SELECT place, 10, n, 'is not the next incarnation'
    FROM (SELECT *, row_number() OVER (ORDER BY n) + 1 AS due FROM entry WHERE kind = 'restore') r WHERE data ->> 'incarnation' <> due::text;
-- The entry behind abandoned checkpoints is the restore that names the last of them.
INSERT INTO fault SELECT e.place, 10, e.n, 'does not give up the abandoned checkpoints before it'
    FROM (SELECT DISTINCT ON (after) * FROM note WHERE abandoned ORDER BY after, place DESC, size DESC) a JOIN entry e ON e.n = a.after + 1
    WHERE e.kind NOT LIKE 'restore%' OR (e.kind = 'restore' AND (e.data ->> 'size', e.data ->> 'root_hex') <> (a.size::text, a.root));
INSERT INTO fault SELECT place, 10, n, 'seals another draw key than the revealed one' FROM entry, header
    WHERE kind = 'seal' AND data ->> 'draw_key_hex' <> revealed;
-- These are missing only if nothing was wrong before the end.
INSERT INTO fault SELECT 9000000000000000000, 1, min(n), 'was redacted without a redaction entry' FROM entry e
    WHERE stub IS NOT NULL AND NOT EXISTS (SELECT FROM entry r WHERE r.kind = 'redaction' AND r.data ->> 'sequence' = e.n::text) HAVING count(*) > 0;
INSERT INTO fault SELECT 9000000000000000000, 2, max(after), 'a checkpoint was given up without a restore entry' FROM note
    WHERE abandoned AND NOT EXISTS (SELECT FROM entry WHERE n = after + 1) HAVING count(*) > 0;

-- Replay. The draw key: the revealed one, or the one handed over.
CREATE TEMP TABLE given ON COMMIT DROP AS
    SELECT decode(coalesce(revealed, nullif(current_setting('verify.draw_key'), '')), 'hex') AS key FROM header;
INSERT INTO fault SELECT 0, 9, NULL, 'the revealed draw key is not the one that was handed over' FROM header
    WHERE revealed <> nullif(current_setting('verify.draw_key'), '');
INSERT INTO fault SELECT place, 11, n, 'the draw key is not the one that was committed to' FROM entry, header, given,
    LATERAL (SELECT CASE WHEN kind = 'seal' THEN decode(data ->> 'draw_key_hex', 'hex') ELSE key END AS used) k
    WHERE kind IN ('genesis', 'seal') AND used IS NOT NULL AND encode(sha256(convert_to(format(E'samplit-audit/draw-key/v1\n%s\n', experiment), 'UTF8') || used), 'hex')
        <> (SELECT data ->> 'draw_key_commitment' FROM entry WHERE n = 1);
INSERT INTO fault SELECT place, 11, n, 'decides something after the seal' FROM entry
    WHERE n > (SELECT min(n) FROM entry WHERE kind LIKE 'seal%') AND kind NOT IN ('redaction', 'restore');

CREATE TEMP TABLE rules ON COMMIT DROP AS SELECT data ->> 'mode' = 'independent' AS many, data ? 'carried' AS carried,
    (data ->> 'max_snapshot_lag_us')::numeric AS lag, pg_temp.real(data -> 'prior' ->> 'alpha_f64') AS alpha, pg_temp.real(data -> 'prior' ->> 'beta_f64') AS beta
    FROM entry WHERE n = 1 AND kind = 'genesis';
CREATE TEMP TABLE assigned ON COMMIT DROP AS
    SELECT n, place, us, data ->> 'visitor' AS visitor, (data ->> 'draw')::bigint AS element, data ? 'element' AS named, (data ->> 'arm')::bigint AS arm,
        (data ->> 'r_ppb')::bigint AS r, data ->> 'u64_hex' AS u, (data ->> 'snapshot_seq')::bigint AS snapshot
    FROM entry WHERE kind = 'assignment' AND stub IS NULL;
CREATE TEMP TABLE converted ON COMMIT DROP AS
    SELECT n, place, data ->> 'visitor' AS visitor, (data ->> 'assignment_seq')::bigint AS first,
        data ? 'arms' AS many, coalesce(data -> 'arms', jsonb_build_array(data -> 'arm')) AS arms
    FROM entry WHERE kind = 'conversion' AND stub IS NULL;
CREATE TEMP TABLE hidden ON COMMIT DROP AS SELECT n, kind FROM entry WHERE stub IS NOT NULL;
CREATE INDEX ON assigned (visitor, element);
ANALYZE assigned, converted, hidden;

-- HMAC-SHA-256 with a key of 32 bytes: the inner and the outer pad.
INSERT INTO fault SELECT place, 12, n, 'the draw is not that of the draw key'
    FROM assigned, header, (SELECT key,
        decode((SELECT string_agg(lpad(to_hex(CASE WHEN i < 32 THEN get_byte(key, i) ELSE 0 END # 54), 2, '0'), '' ORDER BY i) FROM generate_series(0, 63) i), 'hex') AS inside,
        decode((SELECT string_agg(lpad(to_hex(CASE WHEN i < 32 THEN get_byte(key, i) ELSE 0 END # 92), 2, '0'), '' ORDER BY i) FROM generate_series(0, 63) i), 'hex') AS outside
        FROM given WHERE key IS NOT NULL) pad
    WHERE u <> left(encode(sha256(outside || sha256(inside || convert_to(concat(E'samplit-audit/draw/v1\n', experiment, E'\n', visitor, E'\n', element, E'\n'), 'UTF8'))), 'hex'), 16);
INSERT INTO fault SELECT place, 12, n, 'names its element iff elements are drawn independently' FROM assigned, rules WHERE named <> many;
INSERT INTO fault SELECT place, 12, n, 'r_ppb is not that of u64_hex' FROM assigned,
    LATERAL (SELECT ('x' || u)::bit(64)::bigint::numeric AS bits) b
    WHERE r <> div((CASE WHEN bits < 0 THEN bits + 18446744073709551616 ELSE bits END) * 1000000000, 18446744073709551616);
-- What each arm of each snapshot is drawn for, and until when.
CREATE TEMP TABLE share ON COMMIT DROP AS
    SELECT a.n AS snapshot, element, arm, weight, sum(weight) OVER (PARTITION BY a.n, element ORDER BY arm) AS below, until
    FROM arm a JOIN (SELECT n, lead(us) OVER (ORDER BY n) AS until FROM entry WHERE kind IN ('genesis', 'reallocation')) s USING (n)
    WHERE kind <> 'seal';
INSERT INTO fault SELECT a.place, 12, a.n, 'the arm is not the one that the draw chooses, or its weights are none or too old'
    FROM rules, assigned a LEFT JOIN share s ON s.snapshot = a.snapshot AND s.snapshot < a.n AND s.element = a.element AND s.arm = a.arm
    WHERE (a.r >= below - weight AND a.r < below AND (until IS NULL OR until + lag >= a.us)) IS NOT TRUE;
INSERT INTO fault SELECT place, 12, n, 'assigns a visitor a second time'
    FROM (SELECT *, row_number() OVER (PARTITION BY visitor, element ORDER BY n) AS time FROM assigned) a WHERE time > 1;
INSERT INTO fault SELECT a.place, 12, a.n, 'assigns a visitor a second time' FROM assigned a JOIN converted c ON c.visitor = a.visitor AND c.n < a.n;

INSERT INTO fault SELECT place, 12, n, 'converts a visitor a second time'
    FROM (SELECT *, row_number() OVER (PARTITION BY visitor ORDER BY n) AS time FROM converted) c WHERE time > 1;
INSERT INTO fault SELECT c.place, 12, c.n, 'names another assignment than the first of its visitor'
    FROM rules, (SELECT c.*, (SELECT min(a.n) FROM assigned a WHERE a.visitor = c.visitor AND a.n < c.n) AS visible FROM converted c) c
    WHERE CASE WHEN EXISTS (SELECT FROM hidden h WHERE h.n = first AND h.kind = 'assignment' AND h.n < c.n)
        THEN visible < first ELSE visible IS DISTINCT FROM first AND NOT (visible IS NULL AND first = 0 AND carried) END;
CREATE TEMP TABLE credited ON COMMIT DROP AS
    SELECT c.n, c.place, c.visitor, c.first, (a.place - 1) AS element, a.arm::bigint AS arm FROM converted c, jsonb_array_elements_text(arms) WITH ORDINALITY AS a(arm, place);
INSERT INTO fault SELECT place, 12, n, 'names arms that there are not' FROM converted, rules
    WHERE converted.many <> rules.many OR jsonb_array_length(arms) <> (SELECT count(*) FROM block WHERE n = 1);
INSERT INTO fault SELECT c.place, 12, c.n, 'names an arm that there is not' FROM credited c
    WHERE NOT EXISTS (SELECT FROM arm a WHERE a.n = 1 AND a.element = c.element AND a.arm = c.arm);
INSERT INTO fault SELECT c.place, 12, c.n, 'names another arm than the one assigned'
    FROM rules, credited c LEFT JOIN assigned a ON a.visitor = c.visitor AND a.element = c.element AND a.n < c.n
    WHERE CASE WHEN a.n IS NULL THEN NOT (c.first = 0 AND carried) AND NOT EXISTS (SELECT FROM hidden h WHERE h.n < c.n AND h.kind = 'assignment')
        ELSE a.arm <> c.arm END;

-- Counts as claimed, each against those up to the entry that it names: one pass of a window over events and claims.
CREATE TEMP TABLE claim ON COMMIT DROP AS
    SELECT a.n, e.place, CASE WHEN e.kind = 'seal' THEN a.n ELSE (e.data ->> 'upto_seq')::bigint END AS upto, element, arm,
        (a.data ->> 'n')::bigint AS assignments, (a.data ->> 's')::bigint AS conversions, a.data
    FROM arm a JOIN entry e USING (n) WHERE e.kind IN ('reallocation', 'seal');
INSERT INTO fault SELECT place, 12, n, 'counts up to an entry that it cannot'
    FROM (SELECT n, place, upto, lag(upto, 1, 1::bigint) OVER (ORDER BY n) AS before, kind FROM (
        SELECT n, place, kind, CASE WHEN kind = 'seal' THEN n ELSE (data ->> 'upto_seq')::bigint END AS upto FROM entry WHERE kind IN ('reallocation', 'seal')) c) c
    WHERE upto < before OR (kind = 'reallocation' AND upto >= n);
INSERT INTO fault SELECT e.place, 12, e.n, 'has other elements or arms than the genesis' FROM entry e, entry g, rules
    WHERE g.n = 1 AND e.kind IN ('reallocation', 'seal') AND (
        (e.data ? 'elements') <> many
        OR (SELECT jsonb_agg(jsonb_array_length(arms) ORDER BY element) FROM block b WHERE b.n = e.n)
            IS DISTINCT FROM (SELECT jsonb_agg(jsonb_array_length(arms) ORDER BY element) FROM block b WHERE b.n = 1));
CREATE TEMP TABLE counted ON COMMIT DROP AS SELECT * FROM (
    SELECT n, place, upto, element, arm, claimed_n, claimed_s, coalesce(sum(assignments) OVER w, 0) AS real_n, coalesce(sum(conversions) OVER w, 0) AS real_s FROM (
        SELECT n AS at, 0 AS claims, NULL::bigint AS n, NULL::bigint AS place, NULL::bigint AS upto, element, arm, 1::numeric AS assignments, 0::numeric AS conversions, NULL::bigint AS claimed_n, NULL::bigint AS claimed_s FROM assigned
        UNION ALL SELECT n, 0, NULL, NULL, NULL, element, arm, 0, 1, NULL, NULL FROM credited
        UNION ALL SELECT 1, 0, NULL, NULL, NULL, (c ->> 'element')::bigint, (c ->> 'arm')::bigint, (c ->> 'n')::numeric, (c ->> 's')::numeric, NULL, NULL
            FROM entry, jsonb_array_elements(data -> 'carried') c WHERE entry.n = 1
        UNION ALL SELECT upto, 1, n, place, upto, element, arm, 0, 0, assignments, conversions FROM claim) events
    WINDOW w AS (PARTITION BY element, arm ORDER BY at, claims RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) c WHERE n IS NOT NULL;
INSERT INTO fault SELECT place, 13, n, format('counts %s and %s where there are %s assignments and %s conversions (element %s, arm %s)', claimed_n, claimed_s, real_n, real_s, element, arm)
    FROM counted WHERE claimed_n < real_n OR claimed_s < real_s;
INSERT INTO fault SELECT place, 14, n, 'counts assignments that are not there' FROM counted GROUP BY n, place, upto
    HAVING sum(claimed_n - real_n) <> (SELECT count(*) FROM hidden h WHERE h.n <= upto AND h.kind = 'assignment');
INSERT INTO fault SELECT place, 14, n, 'counts conversions that are not there' FROM counted GROUP BY n, place, upto, element
    HAVING sum(claimed_s - real_s) <> (SELECT count(*) FROM hidden h WHERE h.n <= upto AND h.kind = 'conversion');
INSERT INTO fault SELECT place, 15, n, 'the posterior is not the prior and the counts' FROM claim, rules
    WHERE data ? 'alpha_f64' AND (conversions > assignments
        OR abs(pg_temp.real(data ->> 'alpha_f64') - (alpha + conversions)) > 1e-9 * (alpha + conversions)
        OR abs(pg_temp.real(data ->> 'beta_f64') - (beta + assignments - conversions)) > 1e-9 * (beta + assignments - conversions));

\if :{?experiment}
-- The head, whose frontier holds the roots of the complete subtrees, the largest first.
CREATE FUNCTION pg_temp.frontier_root(frontier BYTEA) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    root BYTEA;
BEGIN
    FOR i IN REVERSE length(frontier) / 32 - 1 .. 0 LOOP
        root := CASE WHEN root IS NULL THEN substring(frontier FROM i * 32 + 1 FOR 32)
            ELSE sha256('\x01'::bytea || substring(frontier FROM i * 32 + 1 FOR 32) || root) END;
    END LOOP;
    RETURN encode(root, 'hex');
END $$;
INSERT INTO fault SELECT 9000000000000000000, 3, NULL, 'the head is not where the trail leads'
    FROM (SELECT count(*) AS size, max(incarnation) AS incarnation FROM (SELECT 1 + count(*) FILTER (WHERE kind = 'restore') OVER () AS incarnation FROM entry) i) t
    LEFT JOIN audit_heads h ON h.experiment_id = :'experiment'::uuid
    WHERE (h.size, h.head_hash, h.incarnation, pg_temp.frontier_root(h.frontier))
        IS DISTINCT FROM (t.size, (SELECT hash FROM entry ORDER BY n DESC LIMIT 1), t.incarnation::int, pg_temp.root(t.size));
\endif

SELECT what AS "checked", number FROM (VALUES
    (1, 'entries: form, hash, link, number, time', (SELECT count(*) FROM entry)),
    (2, 'checkpoints: root at their size (signatures: not checked)', (SELECT count(*) FROM note WHERE NOT abandoned)),
    (3, 'checkpoints that a restore gave up', (SELECT count(*) FROM note WHERE abandoned)),
    (4, 'redacted payloads, each with its redaction entry', (SELECT count(*) FROM hidden)),
    (5, 'assignments: arm by weights and draw, age of weights', (SELECT count(*) FROM assigned)),
    (6, 'of these, draws recomputed from the draw key', (SELECT count(*) FROM assigned, given WHERE key IS NOT NULL)),
    (7, 'conversions, each of its assignment', (SELECT count(*) FROM converted)),
    (8, 'reallocations and seal: counts, posterior (weights: not recomputed)', (SELECT count(DISTINCT n) FROM claim))) t(place, what, number) ORDER BY place;
DO $$
DECLARE
    first RECORD;
BEGIN
    SELECT * INTO first FROM fault ORDER BY place, rank LIMIT 1;
    IF FOUND THEN RAISE EXCEPTION 'not sound: %', concat('entry ' || first.n || ' ', first.what); END IF;
END $$;
ROLLBACK;
\echo sound
