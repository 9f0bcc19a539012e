-- One of every kind of object, with names and rows that are hard on whoever reads the dump.

CREATE SCHEMA "Odd; Schema";
COMMENT ON SCHEMA "Odd; Schema" IS E'it''s\n-- PostgreSQL database dump complete\n';

-- Types
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'größer');
CREATE DOMAIN small AS int DEFAULT 3 CONSTRAINT "not; large" CHECK (value < 100);
CREATE TYPE pair AS (a int, b text);
CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi);
COMMENT ON TYPE mood IS 'how one feels';

-- Extensions that come with the server
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA "Odd; Schema";
CREATE EXTENSION IF NOT EXISTS citext;

-- Collations, text search
CREATE COLLATION bytewise (LOCALE = 'C');
CREATE TEXT SEARCH DICTIONARY plain_words (TEMPLATE = simple, stopwords = english);
CREATE TEXT SEARCH CONFIGURATION plain_text (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION plain_text ALTER MAPPING FOR asciiword WITH plain_words;

-- Tables with every kind of column and constraint
CREATE SEQUENCE counter START 7 INCREMENT -3 MINVALUE -100 MAXVALUE 50 CYCLE;
SELECT nextval('counter'), nextval('counter');
CREATE TABLE parent (
    id int GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 5) PRIMARY KEY,
    serial_number serial,
    body text COLLATE bytewise,
    raw bytea DEFAULT '\xdeadbeef',
    at timestamptz DEFAULT '2025-01-02 03:04:05.678901+09',
    feeling mood NOT NULL DEFAULT 'sad',
    n small,
    p pair,
    j jsonb,
    plain_json json,
    a int[][],
    words text[],
    doubled int GENERATED ALWAYS AS (serial_number * 2) STORED,
    address inet,
    amount numeric(30, 10),
    approximate float8,
    period tstzrange,
    bits bit varying(9),
    document tsvector,
    identifier uuid,
    place point,
    anything xml,
    short_name varchar(40) DEFAULT 'it''s; a default',
    fixed char(5),
    extra "Odd; Schema".hstore,
    folded citext,
    CONSTRAINT "unique; words" UNIQUE NULLS NOT DISTINCT (body, n),
    CHECK (amount IS NULL OR amount > -1e20)
);
INSERT INTO parent (body, raw, feeling, n, p, j, plain_json, a, words, address, amount, approximate, period, bits, document,
    identifier, place, anything, fixed, extra, folded)
VALUES
    ('one', '\x00ff0a5c', 'it''s ok', 1, (1, E'x\\,"(y)'), '{"a": [1, null, "\u00e9\\"]}', '{"b" :  1, "b":2}',
        '{{1,2},{3,NULL}}', ARRAY['a,b', 'c"d', NULL, '', 'NULL', E'back\\slash', '{}'], '10.0.0.0/8', 12345678901234567890.0123456789,
        1e-300, '[2025-01-01,)', B'10110', to_tsvector('simple', 'a fat cat''s'), 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
        '(1.5,-2)', '<a b="c">d &amp; e</a>', 'ab', '"k;"=>"v''s", n=>NULL', 'FoLd'),
    ('two', '', 'größer', 99, NULL, 'null', NULL, '{}', '{}', '::1', 'NaN', 'Infinity', 'empty', B'', '', NULL, NULL, NULL, '', '', '');
SELECT setval('parent_serial_number_seq', 4711, false);
CREATE TABLE child (
    id int PRIMARY KEY,
    parent_id int REFERENCES parent ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED,
    note varchar(90)
) WITH (fillfactor = 70, autovacuum_enabled = false);
INSERT INTO child SELECT row_number() OVER (), id, 'n' || id FROM parent;
ALTER TABLE child ADD CONSTRAINT later CHECK (id > 0) NOT VALID;
ALTER TABLE child ALTER note SET STATISTICS 500, ALTER note SET STORAGE EXTERNAL;
-- Tables that need each other
CREATE TABLE hen (id int PRIMARY KEY, egg int);
CREATE TABLE egg (id int PRIMARY KEY, hen int REFERENCES hen);
ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE;
INSERT INTO hen VALUES (1, NULL);
INSERT INTO egg VALUES (1, 1);
UPDATE hen SET egg = 1;
CREATE TABLE booking (room int, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (room > 0));
INSERT INTO booking VALUES (1, '[2025-01-01, 2025-01-02)'), (1, '[2025-01-02, 2025-01-03)'), (2, '[2025-01-01, 2025-01-02)');
CREATE TABLE nothing ();
CREATE UNLOGGED TABLE fast (id int);
INSERT INTO fast VALUES (1);
CREATE TABLE "Odd; Schema"."weird ""name"", (x)" ("column; one" int, "from stdin" text, "$$" text DEFAULT '$$');
INSERT INTO "Odd; Schema"."weird ""name"", (x)" SELECT n, repeat('x', n) FROM generate_series(1, 50) n;
CREATE TABLE typed OF pair (b WITH OPTIONS DEFAULT 'b');
INSERT INTO typed VALUES (1, DEFAULT);

-- Inheritance and partitions
CREATE TABLE base (id int, kind text CHECK (kind <> ''));
CREATE TABLE derived (more int) INHERITS (base);
INSERT INTO base VALUES (1, 'base');
INSERT INTO derived VALUES (2, 'derived', 3);
CREATE TABLE measure (at date NOT NULL, city text, degrees int) PARTITION BY RANGE (at);
CREATE TABLE measure_2024 PARTITION OF measure FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE measure_2025 PARTITION OF measure FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE measure_rest PARTITION OF measure DEFAULT PARTITION BY LIST (city);
CREATE TABLE measure_rest_bonn PARTITION OF measure_rest FOR VALUES IN ('Bonn', 'Köln');
CREATE TABLE measure_rest_rest PARTITION OF measure_rest DEFAULT;
CREATE INDEX ON measure (at, city);
INSERT INTO measure VALUES ('2024-05-05', 'Bonn', 1), ('2025-05-05', 'Rom', 2), ('2025-06-06', NULL, 3), ('1999-01-01', 'Bonn', 4), ('1999-01-01', 'Oslo', 5);
CREATE TABLE hashed (id int) PARTITION BY HASH (id);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT generate_series(1, 20);

-- Rows that look like something else to whoever reads COPY
CREATE TABLE hostile (id int, body text, other text);
INSERT INTO hostile VALUES
    (1, E'\\.', E'\\.'),
    (2, E'\n\\.\n', E'\r\n\\.\r\n'),
    (3, E'\\N', NULL),
    (4, '', E'\t\t\t'),
    (5, E'a\tb\nc\rd\\e\bf\fg\vh', E'\\x41\\101\\t'),
    (6, '-- PostgreSQL database dump complete', E'--\n-- PostgreSQL database dump complete\n--\n'),
    (7, E'--\n-- Data for Name: fake; Type: TABLE DATA; Schema: public; Owner: x\n--\n\nCOPY public.fake (id) FROM stdin;\n1\n\\.\n', ';'),
    (8, E'\\connect other\n\\! false\nCREATE DATABASE x;\n\\unrestrict x', E'\\restrict y'),
    (9, E'ä€\U0001F600 naïve 日本語 \u202e\u0301 e\u0301', 'quote'' "double" $$ $x$ $1 %s'),
    (10, repeat(E'long \\ line\t', 20000), repeat(E'\n', 3000)),
    (11, NULL, NULL);

-- Indexes and statistics
CREATE UNIQUE INDEX CONCURRENTLY body_index ON parent (lower(body) COLLATE "C" DESC NULLS LAST, n) INCLUDE (j) WHERE n IS NOT NULL;
CREATE INDEX j_index ON parent USING gin (j jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX at_index ON parent USING brin (at) WITH (pages_per_range = 16);
CREATE INDEX hash_index ON parent USING hash (short_name);
CREATE STATISTICS together (ndistinct, mcv) ON id, n FROM parent;
CLUSTER child USING child_pkey;
ALTER TABLE fast ADD COLUMN u int NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX fast_u ON fast (u);
ALTER TABLE fast REPLICA IDENTITY USING INDEX fast_u;
COMMENT ON INDEX body_index IS 'folded';

-- Functions, procedures, aggregates, operators, casts
CREATE FUNCTION plain(a int, VARIADIC more int[] DEFAULT '{}') RETURNS int LANGUAGE sql STRICT PARALLEL SAFE COST 7
    BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END; SELECT 3; END;
CREATE FUNCTION quoted(text) RETURNS text LANGUAGE sql IMMUTABLE AS $outer$ SELECT $inner$;\.$$'"$inner$ || $1 || E'\\\''; $outer$;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, "Odd; Schema" AS $f$
BEGIN
--
-- Data for Name: fake2; Type: TABLE DATA; Schema: public; Owner: x
--
  NEW.note := $q$;\.$q$; RETURN NEW;
END $f$;
CREATE FUNCTION many(OUT a int, OUT b text) RETURNS SETOF record LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT 1, ''x;''::text; END';
CREATE PROCEDURE act(INOUT a int) LANGUAGE plpgsql AS $$ BEGIN COMMIT; a := a + 1; END $$;
CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int, initcond = '0', combinefunc = int4pl, parallel = safe);
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq, commutator = ===);
CREATE OPERATOR CLASS as_before FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
    FUNCTION 1 btint4cmp(int, int);
CREATE CAST (mood AS int) WITH FUNCTION hashenum(anyenum) AS ASSIGNMENT;
CREATE CONVERSION to_upper_half FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
COMMENT ON FUNCTION quoted(text) IS E'\\.\n';

-- Views, rules, triggers
CREATE VIEW seen WITH (security_barrier) AS SELECT id, 'x;--'::text AS "--", E'a\\''b' AS q FROM parent WHERE n < 100
    WITH LOCAL CHECK OPTION;
CREATE RECURSIVE VIEW upwards (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM upwards WHERE n < 5;
CREATE MATERIALIZED VIEW stored AS SELECT count(*) AS n FROM hostile;
CREATE UNIQUE INDEX stored_n ON stored (n);
CREATE MATERIALIZED VIEW stored_later AS SELECT * FROM stored WITH NO DATA;
CREATE RULE quiet AS ON DELETE TO fast DO INSTEAD (SELECT 1; SELECT 2);
CREATE TRIGGER touched BEFORE UPDATE OF note ON child FOR EACH ROW WHEN (OLD.note IS DISTINCT FROM NEW.note) EXECUTE FUNCTION touch();
CREATE CONSTRAINT TRIGGER checked AFTER INSERT ON child DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE child DISABLE TRIGGER touched;
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watched ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION watch();
COMMENT ON TRIGGER touched ON child IS 'a trigger';
COMMENT ON VIEW seen IS 'a view';

-- Rights
DO $$ BEGIN CREATE ROLE every_object_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
ALTER TABLE child ENABLE ROW LEVEL SECURITY;
ALTER TABLE child FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON child AS RESTRICTIVE FOR UPDATE TO PUBLIC USING (id > 0) WITH CHECK (note <> ';');
CREATE POLICY theirs ON child FOR SELECT TO every_object_reader USING (true);
GRANT SELECT ON parent TO PUBLIC;
GRANT INSERT (body, n), SELECT (id) ON parent TO every_object_reader WITH GRANT OPTION;
GRANT USAGE ON SCHEMA "Odd; Schema" TO every_object_reader;
GRANT EXECUTE ON FUNCTION plain(int, int[]) TO every_object_reader;
REVOKE EXECUTE ON PROCEDURE act(int) FROM PUBLIC;
GRANT USAGE ON SEQUENCE counter TO every_object_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO every_object_reader;

-- Comments
COMMENT ON TABLE parent IS E'--\n-- Data for Name: fake3; Type: TABLE DATA; Schema: public; Owner: x\n--\n';
COMMENT ON COLUMN parent.body IS 'a ; b';
COMMENT ON CONSTRAINT "not; large" ON DOMAIN small IS 'small';

-- Large objects
SELECT lo_from_bytea(4242, '\x00010203');
SELECT lo_from_bytea(4343, decode(repeat('00ff5c0a', 20000), 'hex'));
COMMENT ON LARGE OBJECT 4242 IS 'large';
GRANT SELECT ON LARGE OBJECT 4242 TO PUBLIC;

-- Foreign data and replication
CREATE FOREIGN DATA WRAPPER dummy OPTIONS (debug 'true');
CREATE SERVER elsewhere TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER dummy OPTIONS (host 'it''s; far');
CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (who 'me');
CREATE FOREIGN TABLE far_away (id int OPTIONS (name 'ID') NOT NULL) SERVER elsewhere OPTIONS (of 'x');
-- The server of the tests has no wal_level for it, and says so.
SET client_min_messages = error;
CREATE PUBLICATION some_of_it FOR TABLE parent (id, body) WHERE (id > 5), TABLE child WITH (publish = 'insert');
CREATE PUBLICATION all_of_it FOR ALL TABLES;
