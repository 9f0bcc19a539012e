//! PostgreSQL as a source and as a target, through the library, against a real server.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::failure::{Failure, Kind, Result, into_io};
use backup_cli::base::report::Recorder;
use backup_cli::catalog::index::{Entry, EntryKind};
use backup_cli::source::postgres::{
    PostgresOptions, PostgresRestoreOptions, PostgresRestoreReport, PostgresSource, PostgresUrl, inspect_target,
    restore_database,
};
use backup_cli::source::{Source, SourceContext, SourceReport, SourceSink};

use crate::support::postgres::{Database, PASSWORD, PostgresServer, USER, server_programs};

#[derive(Default)]
struct Sink {
    bytes: Vec<u8>,
    cuts: Vec<u64>,
    entries: Vec<Entry>,
    // Told of every byte that arrives.
    on_write: Option<Box<dyn FnMut(u64) -> Result<()>>>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        let position = self.bytes.len() as u64;
        if let Some(on_write) = &mut self.on_write {
            on_write(position).map_err(into_io)?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl SourceSink for Sink {
    fn position(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn cut(&mut self) -> Result<()> {
        self.cuts.push(self.position());
        Ok(())
    }
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.entries.push(entry.clone());
        Ok(())
    }
}

fn options(url: &str) -> PostgresOptions {
    PostgresOptions {
        url: PostgresUrl::parse(url).unwrap(),
        ..PostgresOptions::default()
    }
}

fn dump_into(sink: &mut Sink, options: PostgresOptions, cancel: &Cancel) -> Result<SourceReport> {
    let recorder = Recorder::default();
    let context = SourceContext {
        cancel,
        reporter: &recorder,
    };
    let mut source = PostgresSource::new(options);
    source.prepare(&context)?;
    source.stream(sink, &context)
}

fn dump(url: &str) -> Vec<u8> {
    let mut sink = Sink::default();
    dump_into(&mut sink, options(url), &Cancel::new()).unwrap();
    sink.bytes
}

fn target(url: &str) -> PostgresRestoreOptions {
    PostgresRestoreOptions {
        url: PostgresUrl::parse(url).unwrap(),
        ..PostgresRestoreOptions::default()
    }
}

fn restore_with(
    dump: &mut (dyn Read + Send),
    options: &PostgresRestoreOptions,
    verify: &mut dyn FnMut() -> Result<()>,
    cancel: &Cancel,
) -> Result<PostgresRestoreReport> {
    let recorder = Recorder::default();
    let context = SourceContext {
        cancel,
        reporter: &recorder,
    };
    restore_database(dump, options, verify, &context)
}

fn restore(mut dump: &[u8], options: &PostgresRestoreOptions) -> Result<PostgresRestoreReport> {
    restore_with(&mut dump, options, &mut || Ok(()), &Cancel::new())
}

/// Databases whose name begins with that of another one.
fn relatives(server: &PostgresServer, name: &str) -> Vec<String> {
    let begin = format!("{name}__");
    server
        .databases()
        .into_iter()
        .filter(|other| other.starts_with(&begin))
        .collect()
}

fn drop_database(server: &PostgresServer, name: &str) {
    server.psql("postgres", &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
}

/// One of every kind of object, with names and rows that are hard on whoever reads the dump.
const EVERYTHING: &str = r#"
CREATE SCHEMA "Odd; Schema";
CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
CREATE DOMAIN small AS int CHECK (value < 100);
CREATE TYPE pair AS (a int, b text);
CREATE SEQUENCE counter START 7;
CREATE TABLE parent (id serial PRIMARY KEY, body text COLLATE "C", raw bytea, at timestamptz DEFAULT now(), m mood,
    n small, p pair, j jsonb, a int[], g int GENERATED ALWAYS AS (1 + 1) STORED);
INSERT INTO parent (body, raw, m, n, p, j, a) VALUES
  (E'--\n-- Data for Name: fake; Type: TABLE DATA; Schema: public; Owner: x\n--\n', '\x00ff0a', 'sad', 1, (1, 'x'), '{"a": [1, null]}', '{1,2,NULL}'),
  (E'\\.', '', NULL, NULL, NULL, NULL, NULL),
  (E'\\connect other\n\\.\nCREATE DATABASE x;', NULL, 'it''s ok', 99, (NULL, ''), 'null', '{}'),
  ('-- PostgreSQL database dump complete', NULL, NULL, NULL, NULL, NULL, NULL),
  (E'ä€\U0001F600 tab\t cr\r nl\n bs\\ quote'' $$ $x$', NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE child (id int PRIMARY KEY REFERENCES parent, note varchar(9)) WITH (fillfactor = 70);
INSERT INTO child SELECT id, 'n' || id FROM parent;
CREATE TABLE "Odd; Schema"."weird ""name"", (x)" ("column; one" int, "from stdin" text);
INSERT INTO "Odd; Schema"."weird ""name"", (x)" SELECT n, repeat('x', n) FROM generate_series(1, 50) n;
CREATE TABLE parts (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
INSERT INTO parts SELECT n, 'p' FROM generate_series(0, 19) n;
CREATE TABLE nothing ();
CREATE UNLOGGED TABLE fast (id int); INSERT INTO fast VALUES (1);
CREATE INDEX body_index ON parent (lower(body)) WHERE n IS NOT NULL;
CREATE VIEW seen AS SELECT id, 'x;--'::text AS "--", E'a\\''b' AS q FROM parent;
CREATE MATERIALIZED VIEW stored AS SELECT count(*) AS n FROM parent;
CREATE FUNCTION plain(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END; SELECT 3; END;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
--
-- Data for Name: fake2; Type: TABLE DATA; Schema: public; Owner: x
--
  NEW.note := $q$;\.$q$; RETURN NEW;
END $f$;
CREATE TRIGGER touched BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE quiet AS ON DELETE TO fast DO INSTEAD (SELECT 1; SELECT 2);
CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);
CREATE CAST (mood AS int) WITH FUNCTION hashenum(anyenum) AS ASSIGNMENT;
ALTER TABLE child ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON child USING (id > 0);
CREATE STATISTICS st ON id, n FROM parent;
COMMENT ON TABLE parent IS E'--\n-- Data for Name: fake3; Type: TABLE DATA; Schema: public; Owner: x\n--\n';
COMMENT ON COLUMN parent.body IS 'a ; b';
GRANT SELECT ON parent TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
SELECT lo_from_bytea(4242, '\x00010203');
COMMENT ON LARGE OBJECT 4242 IS 'large';
SELECT nextval('counter');
"#;

#[test]
fn every_kind_of_object_comes_back() {
    let server = PostgresServer::shared();
    let database = Database::fresh();
    database.psql(EVERYTHING);
    let mut sink = Sink::default();
    let report = dump_into(&mut sink, options(&database.url()), &Cancel::new()).unwrap();
    let rows: Vec<(String, u64)> = sink
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Table)
        .map(|entry| (entry.path.display(), entry.rows.unwrap()))
        .collect();
    for expected in [
        ("public.parent", 5),
        ("public.child", 5),
        ("Odd; Schema.weird \"name\", (x)", 50),
        ("public.parts_1", 10),
        ("public.parts_2", 10),
        ("public.nothing", 0),
        ("public.fast", 1),
    ] {
        assert!(
            rows.contains(&(expected.0.to_owned(), expected.1)),
            "{expected:?} in {rows:?}"
        );
    }
    assert_eq!(rows.len(), 7);
    assert_eq!(report.counts.tables, Some(7));
    assert_eq!(report.counts.rows, Some(81));
    assert_eq!(report.warnings, Vec::<String>::new());
    for entry in sink.entries.iter().filter(|entry| entry.kind == EntryKind::Table) {
        let text = &sink.bytes[entry.offset as usize..(entry.offset + entry.length) as usize];
        assert!(text.starts_with(b"--\n-- Data for Name: "));
        assert!(sink.cuts.contains(&entry.offset));
    }
    let name = format!("{}-restored", database.name);
    let restored = restore(&sink.bytes, &target(&server.url(&name))).unwrap();
    assert_eq!(restored.database, name);
    assert_eq!(restored.replaced_as, None);
    assert_eq!(restored.warnings, Vec::<String>::new());
    assert_eq!(server.dump(&name), database.dump());
    assert_eq!(relatives(server, &name), Vec::<String>::new());
    database.psql("CREATE PUBLICATION pub FOR TABLE parent");
    let mut options = target(&server.url(&name));
    (options.replace, options.drop_replaced) = (true, true);
    let restored = restore(&dump(&database.url()), &options).unwrap();
    assert_eq!(restored.warnings.len(), 1, "{restored:?}");
    assert!(restored.warnings[0].contains("wal_level"), "{restored:?}");
    // Statistics are there for the planner.
    let analyzed =
        "SELECT count(*) > 0 FROM pg_statistic s JOIN pg_class c ON c.oid = s.starelid WHERE c.relname = 'parent'";
    assert_eq!(server.psql(&name, analyzed), "t\n");
    drop_database(server, &name);
}

#[test]
fn inserts_and_the_socket_serve_too() {
    let server = PostgresServer::shared();
    let database = Database::fresh();
    database
        .psql("CREATE TABLE t (i int, s text); INSERT INTO t SELECT n, E'a;''\\\\\\nb' FROM generate_series(1, 10) n;");
    for arguments in [vec!["--inserts"], vec!["--rows-per-insert=3"], vec!["--column-inserts"]] {
        let mut options = options(&server.socket_url(&database.name));
        options.extra_arguments = arguments.into_iter().map(str::to_owned).collect();
        let mut sink = Sink::default();
        let report = dump_into(&mut sink, options, &Cancel::new()).unwrap();
        assert_eq!(report.counts.rows, Some(10));
        let table = sink
            .entries
            .iter()
            .find(|entry| entry.kind == EntryKind::Table)
            .unwrap();
        assert_eq!(table.path.display(), "public.t");
        let name = format!("{}-socket", database.name);
        restore(&sink.bytes, &target(&server.socket_url(&name))).unwrap();
        assert_eq!(server.dump(&name), database.dump());
        drop_database(server, &name);
    }
}

#[test]
fn the_source_describes_itself_without_the_password() {
    let database = Database::fresh();
    let recorder = Recorder::default();
    let cancel = Cancel::new();
    let context = SourceContext {
        cancel: &cancel,
        reporter: &recorder,
    };
    let mut source = PostgresSource::new(options(&database.url()));
    source.prepare(&context).unwrap();
    let info = source.info();
    assert_eq!(info.kind, "postgresql");
    assert_eq!(info.database.as_deref(), Some(database.name.as_str()));
    assert!(
        info.server_version
            .as_deref()
            .unwrap()
            .starts_with(|c: char| c.is_ascii_digit())
    );
    assert_eq!(info.tool.as_deref(), Some("pg_dump"));
    assert!(info.tool_version.is_some());
    assert!(!format!("{info:?} {source:?}").contains("canary"));
    let estimate = source.estimate(&context).unwrap();
    assert!(estimate.plain_bytes.unwrap() > 1_000_000);
    assert_eq!(estimate.items, Some(0));
}

#[test]
fn what_is_wrong_with_the_server_has_its_kind_and_a_hint() {
    let server = PostgresServer::shared();
    let port = server.port();
    for (url, kind) in [
        (server.url_with("wrong-password", "postgres"), Kind::Denied),
        (format!("postgres://{USER}@127.0.0.1:{port}/postgres"), Kind::Denied),
        (format!("postgres://nobody-7:x@127.0.0.1:{port}/postgres"), Kind::Denied),
        (server.url("no such database"), Kind::NotFound),
        (format!("postgres://{USER}:x@127.0.0.1:1/postgres"), Kind::Unreachable),
        (
            format!("postgres://{USER}:x@no-such-host.invalid/postgres"),
            Kind::Unreachable,
        ),
        ("postgres:///x?host=/no/such/folder".to_owned(), Kind::Unreachable),
    ] {
        let failure = dump_into(&mut Sink::default(), options(&url), &Cancel::new()).unwrap_err();
        assert_eq!(failure.kind(), kind, "{url}: {failure:?}");
        assert!(!failure.hints().is_empty(), "{failure:?}");
        assert!(!format!("{failure:?}").contains("wrong-password"));
        if kind != Kind::NotFound {
            let failure = restore(b"SELECT 1;\n", &target(&url)).unwrap_err();
            assert_eq!(failure.kind(), kind, "{url}: {failure:?}");
        }
    }
}

/// A folder with the real `psql` and a `pg_dump` of the test's own, which finds the real one in `$REAL`.
fn clients(pg_dump: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let real = server_programs();
    let script = format!(
        "#!/bin/sh\nREAL={}\nif [ \"$1\" = --version ]; then exec $REAL --version; fi\n{pg_dump}\n",
        real.join("pg_dump").display()
    );
    write_program(&folder.path().join("pg_dump"), &script);
    write_program(
        &folder.path().join("psql"),
        &format!("#!/bin/sh\nexec {} \"$@\"\n", real.join("psql").display()),
    );
    folder
}

fn write_program(path: &Path, script: &str) {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_dump_that_does_not_end_well_is_a_failure() {
    let database = Database::fresh();
    database.psql("CREATE TABLE t (i int); INSERT INTO t SELECT generate_series(1, 1000);");
    for (script, words) in [
        (
            "$REAL \"$@\"; echo 'pg_dump: error: at the last moment' >&2; exit 1",
            "exit status 1",
        ),
        ("$REAL \"$@\" | head -c 3000", "not whole"),
        ("$REAL \"$@\" | grep -v 'dump complete'", "not whole"),
        ("$REAL \"$@\" | grep -v '^.unrestrict'", "not whole"),
        ("true", "not whole"),
        ("$REAL \"$@\" | head -c 3000; kill -9 $$", "signal 9"),
        ("exec >&-; exit 0", "not whole"),
    ] {
        let folder = clients(script);
        let mut options = options(&database.url());
        options.client_folder = Some(folder.path().to_owned());
        let failure = dump_into(&mut Sink::default(), options, &Cancel::new()).unwrap_err();
        assert_eq!(failure.kind(), Kind::Source, "{script}: {failure:?}");
        assert!(failure.message().contains(words), "{script}: {failure:?}");
    }
    let folder = clients("$REAL \"$@\"; echo 'pg_dump: warning: look here' >&2; echo 'pg_dump: detail: why' >&2");
    let mut options = options(&database.url());
    options.client_folder = Some(folder.path().to_owned());
    let report = dump_into(&mut Sink::default(), options, &Cancel::new()).unwrap();
    assert_eq!(report.warnings, ["pg_dump: warning: look here; why"]);
}

#[test]
fn a_server_that_ends_the_session_makes_the_dump_fail() {
    let server = PostgresServer::shared();
    let database = Database::fresh();
    database.psql("CREATE TABLE t AS SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n;");
    let name = database.name.clone();
    let mut done = false;
    let mut sink = Sink {
        on_write: Some(Box::new(move |position| {
            if position > 1_000_000 && !std::mem::replace(&mut done, true) {
                server.psql(
                    "postgres",
                    &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
                );
            }
            Ok(())
        })),
        ..Sink::default()
    };
    let failure = dump_into(&mut sink, options(&database.url()), &Cancel::new()).unwrap_err();
    assert_eq!(failure.kind(), Kind::Source, "{failure:?}");
    assert!(!failure.causes().is_empty());
}

#[test]
fn cancelling_and_a_failing_sink_end_the_dump_at_once() {
    let server = PostgresServer::shared();
    let database = Database::fresh();
    database.psql("CREATE TABLE t AS SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n;");
    let cancel = Cancel::new();
    let inner = cancel.clone();
    let mut sink = Sink {
        on_write: Some(Box::new(move |_| {
            inner.cancel();
            Ok(())
        })),
        ..Sink::default()
    };
    let failure = dump_into(&mut sink, options(&database.url()), &cancel).unwrap_err();
    assert_eq!(failure.kind(), Kind::Interrupted);
    let mut sink = Sink {
        on_write: Some(Box::new(|_| Err(Failure::new(Kind::Unreachable, "The store is gone")))),
        ..Sink::default()
    };
    let failure = dump_into(&mut sink, options(&database.url()), &Cancel::new()).unwrap_err();
    assert_eq!(failure.kind(), Kind::Unreachable);
    // A lock that nobody gives back would keep pg_dump waiting for ever.
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'",
        database.name
    );
    let began = std::time::Instant::now();
    while server.psql("postgres", &sessions) != "0\n" {
        assert!(began.elapsed().as_secs() < 30, "a session of the dump stays");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn no_secret_is_on_a_command_line_or_left_behind() {
    let database = Database::fresh();
    let seen = tempfile::tempdir().unwrap();
    let seen_path = seen.path().display();
    let folder = clients(&format!(
        "tr '\\0' '\\n' < /proc/$$/cmdline > {seen_path}/argv; env > {seen_path}/env; stat -c %a $PGPASSFILE > {seen_path}/mode; exec $REAL \"$@\""
    ));
    let mut options = options(&database.url());
    options.client_folder = Some(folder.path().to_owned());
    dump_into(&mut Sink::default(), options, &Cancel::new()).unwrap();
    let read = |name: &str| std::fs::read_to_string(seen.path().join(name)).unwrap();
    let (argv, environment) = (read("argv"), read("env"));
    assert!(argv.contains("--no-password"), "{argv}");
    assert!(!argv.contains(PASSWORD) && !environment.contains(PASSWORD));
    assert_eq!(read("mode"), "600\n");
    let file = environment
        .lines()
        .find_map(|line| line.strip_prefix("PGPASSFILE="))
        .unwrap();
    assert!(!Path::new(file).exists() && !Path::new(file).parent().unwrap().exists());
}

/// A restore is the same whatever the user's own start-up file says, in one transaction, and with no secret in sight.
#[test]
fn a_restore_asks_psql_for_what_it_needs_and_hears_nobody_else() {
    let server = PostgresServer::shared();
    let database = Database::fresh();
    let seen = tempfile::tempdir().unwrap();
    let seen_path = seen.path().display();
    let folder = clients("exec $REAL \"$@\"");
    let real = server_programs().join("psql").display().to_string();
    let hostile = seen.path().join("psqlrc");
    std::fs::write(&hostile, format!("\\! touch {seen_path}/was-read\n\\q\n")).unwrap();
    write_program(
        &folder.path().join("psql"),
        &format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then exec {real} --version; fi\n\
             printf '%s ' \"$@\" >> {seen_path}/argv; echo >> {seen_path}/argv; env >> {seen_path}/env\n\
             PSQLRC={} exec {real} \"$@\"\n",
            hostile.display()
        ),
    );
    // So that the file is known to do harm where it is read.
    let harm = std::process::Command::new(&real)
        .args(["-d", &database.url(), "-c", "SELECT 1"])
        .env("PSQLRC", &hostile)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(seen.path().join("was-read").exists(), "{harm:?}");
    std::fs::remove_file(seen.path().join("was-read")).unwrap();

    let name = format!("{}__new", database.name);
    let mut options = target(&server.url(&name));
    options.client_folder = Some(folder.path().to_owned());
    let dump = b"CREATE TABLE t (i int);\nINSERT INTO t VALUES (1);\n";
    restore(dump, &options).unwrap();
    let argv = std::fs::read_to_string(seen.path().join("argv")).unwrap();
    let loads: Vec<&str> = argv
        .lines()
        .filter(|line| line.contains("--single-transaction"))
        .collect();
    assert_eq!(loads.len(), 1, "{argv}");
    for line in argv.lines() {
        assert!(line.contains("--no-psqlrc") || line.contains("-X"), "{line}");
        assert!(line.contains("ON_ERROR_STOP=1"), "{line}");
        assert!(line.contains("--no-password") || line.contains("-w"), "{line}");
    }
    let environment = std::fs::read_to_string(seen.path().join("env")).unwrap();
    assert!(!argv.contains(PASSWORD) && !environment.contains(PASSWORD));
    assert!(!seen.path().join("was-read").exists());
    drop_database(server, &name);
}

#[test]
fn a_server_newer_than_the_client_and_missing_clients_are_told() {
    let database = Database::fresh();
    let folder = clients("exit 1");
    write_program(
        &folder.path().join("pg_dump"),
        "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n",
    );
    let mut options = options(&database.url());
    options.client_folder = Some(folder.path().to_owned());
    let failure = dump_into(&mut Sink::default(), options.clone(), &Cancel::new()).unwrap_err();
    assert_eq!(failure.kind(), Kind::Tool);
    assert!(failure.message().contains("9.6"), "{failure:?}");
    assert!(failure.hints()[0].contains("postgresql-client-"), "{failure:?}");
    let empty = tempfile::tempdir().unwrap();
    options.client_folder = Some(empty.path().to_owned());
    let failure = dump_into(&mut Sink::default(), options, &Cancel::new()).unwrap_err();
    assert_eq!(failure.kind(), Kind::Tool);
    let mut target = target(&database.url());
    target.client_folder = Some(empty.path().to_owned());
    assert_eq!(restore(b"SELECT 1;", &target).unwrap_err().kind(), Kind::Tool);
}

#[test]
fn a_database_that_holds_something_is_replaced_only_when_told_to() {
    let server = PostgresServer::shared();
    let source = Database::fresh();
    source.psql("CREATE TABLE t (i int); INSERT INTO t VALUES (1), (2);");
    let dump = dump(&source.url());
    let database = Database::fresh();
    let name = &database.name;
    database.psql("CREATE TABLE old (i int); INSERT INTO old VALUES (7);");
    let reader = format!("reader-{name}");
    server.psql(
        "postgres",
        &format!(
            "CREATE ROLE \"{reader}\"; REVOKE ALL ON DATABASE \"{name}\" FROM PUBLIC; \
             GRANT CONNECT ON DATABASE \"{name}\" TO \"{reader}\" WITH GRANT OPTION; \
             ALTER DATABASE \"{name}\" SET search_path TO \"$user\", 'odd, one', public; \
             ALTER DATABASE \"{name}\" SET app.note TO 'it''s'; \
             ALTER ROLE \"{reader}\" IN DATABASE \"{name}\" SET work_mem TO '5MB'; \
             ALTER DATABASE \"{name}\" CONNECTION LIMIT 17; COMMENT ON DATABASE \"{name}\" IS 'it''s mine';"
        ),
    );
    let properties = format!(
        "SELECT datacl, datconnlimit, shobj_description(d.oid, 'pg_database'), pg_encoding_to_char(encoding), \
         datcollate, datctype, pg_get_userbyid(datdba), (SELECT array_agg(setconfig::text ORDER BY setrole) \
         FROM pg_db_role_setting s WHERE s.setdatabase = d.oid) FROM pg_database d WHERE datname = '{name}'"
    );
    let before = server.psql("postgres", &properties);
    let mut options = target(&database.url());
    let failure = restore(&dump, &options).unwrap_err();
    assert_eq!(failure.kind(), Kind::Refused);
    assert!(!failure.hints().is_empty());
    assert_eq!(database.psql("SELECT * FROM old"), "7\n");
    assert_eq!(relatives(server, name), Vec::<String>::new());

    let recorder = Recorder::default();
    let cancel = Cancel::new();
    let context = SourceContext {
        cancel: &cancel,
        reporter: &recorder,
    };
    let looked = inspect_target(&options, &context).unwrap();
    assert!(looked.exists && !looked.empty && looked.bytes > 1_000_000);

    options.replace = true;
    // Somebody is connected, and comes back as soon as the connection is lost.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let _ = server.try_psql(name, PASSWORD, "SELECT pg_sleep(30)");
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(300));
        let report = restore(&dump, &options);
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        server.psql(
            "postgres",
            &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE '{name}%'"),
        );
        report.unwrap()
    });
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!(database.psql("SELECT * FROM t"), "1\n2\n");
    assert_eq!(server.psql("postgres", &properties), before);
    let replaced = report.replaced_as.unwrap();
    assert_eq!(relatives(server, name), std::slice::from_ref(&replaced));
    assert_eq!(server.psql(&replaced, "SELECT * FROM old"), "7\n");
    drop_database(server, &replaced);

    options.drop_replaced = true;
    let report = restore(&dump, &options).unwrap();
    assert_eq!(report.replaced_as, None);
    assert_eq!(relatives(server, name), Vec::<String>::new());
}

#[test]
fn an_empty_database_needs_no_word_and_leaves_nothing_behind() {
    let server = PostgresServer::shared();
    let source = Database::fresh();
    source.psql("CREATE TABLE t (i int);");
    let database = Database::fresh();
    let report = restore(&dump(&source.url()), &target(&database.url())).unwrap();
    assert_eq!(report.replaced_as, None);
    assert_eq!(database.dump(), source.dump());
    assert_eq!(relatives(server, &database.name), Vec::<String>::new());
}

/// Whatever somebody made in it, it is not replaced and dropped without a word.
#[test]
fn a_database_in_which_anybody_made_anything_is_not_empty() {
    let source = Database::fresh();
    source.psql("CREATE TABLE t (i int);");
    let dump = dump(&source.url());
    for made in [
        "CREATE EXTENSION hstore; CREATE TABLE jobs (i int); INSERT INTO jobs VALUES (1); \
         ALTER EXTENSION hstore ADD TABLE jobs",
        "CREATE EXTENSION citext",
        "CREATE PUBLICATION p",
        "CREATE FOREIGN DATA WRAPPER w",
        "CREATE TEXT SEARCH CONFIGURATION c (COPY = simple)",
        "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple)",
        "CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)",
        "CREATE OPERATOR FAMILY f USING btree",
        "CREATE COLLATION c FROM \"C\"",
        "CREATE CAST (bytea AS text) WITH INOUT",
        "CREATE CONVERSION c FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1",
        "CREATE ACCESS METHOD m TYPE INDEX HANDLER bthandler",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO public",
        "CREATE SCHEMA s",
        "CREATE TYPE c AS (i int)",
        "SELECT lo_create(100)",
        "CREATE SUBSCRIPTION s CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false, slot_name = NONE)",
    ] {
        let database = Database::fresh();
        database.psql(&format!("{made};"));
        let before = database.dump();
        let failure = restore(&dump, &target(&database.url())).expect_err(made);
        assert_eq!(failure.kind(), Kind::Refused, "{made}: {failure:?}");
        assert_eq!(database.dump(), before, "{made}");
    }
    // What every database has may have rights and words of its own.
    let database = Database::fresh();
    database.psql(
        "GRANT ALL ON SCHEMA public TO public; COMMENT ON SCHEMA public IS 'ours'; CREATE TEMPORARY TABLE x (i int);",
    );
    restore(&dump, &target(&database.url())).unwrap();
}

/// Gives a part of a dump, and then fails or does something else.
struct Breaking<'a> {
    rest: &'a [u8],
    at_end: Box<dyn FnMut() -> std::io::Result<usize> + Send>,
}

impl Read for Breaking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() {
            return (self.at_end)();
        }
        self.rest.read(buffer)
    }
}

#[test]
fn a_restore_that_fails_at_any_point_changes_nothing() {
    let server = PostgresServer::shared();
    let source = Database::fresh();
    source.psql(
        "CREATE TABLE t (i int, s text); INSERT INTO t SELECT n, repeat('y', 500) FROM generate_series(1, 2000) n; \
         CREATE TABLE u (i int PRIMARY KEY);",
    );
    let dump = dump(&source.url());
    let database = Database::fresh();
    database.psql("CREATE TABLE old (i int); INSERT INTO old VALUES (7);");
    let before = database.dump();
    let mut options = target(&database.url());
    options.replace = true;
    let unchanged = |what: &str| {
        assert_eq!(database.dump(), before, "{what}");
        assert_eq!(relatives(server, &database.name), Vec::<String>::new(), "{what}");
    };

    // The stream fails, at its beginning, in the rows, and after its last byte.
    for part in [0, 100, 500_000, dump.len()] {
        let mut stream = Breaking {
            rest: &dump[..part],
            at_end: Box::new(|| Err(into_io(Failure::new(Kind::Damaged, "The object is damaged")))),
        };
        let failure = restore_with(&mut stream, &options, &mut || Ok(()), &Cancel::new()).unwrap_err();
        assert_eq!(failure.kind(), Kind::Damaged, "{failure:?}");
        unchanged("a stream that fails");
    }
    // It ends early without saying so: in the middle of a row, between rows, between statements, before the marker.
    let text = String::from_utf8(dump.clone()).unwrap();
    let marker = text.rfind("-- PostgreSQL database dump complete").unwrap();
    let between_rows = text[..500_000].rfind('\n').unwrap() + 1;
    let create = text.rfind("ALTER TABLE").unwrap();
    for part in [0, 300, 500_000, between_rows, create, marker, text.trim_end().len() - 1] {
        let failure = restore(&dump[..part], &options).unwrap_err();
        assert_eq!(failure.kind(), Kind::Damaged, "{part}: {failure:?}");
        unchanged("a dump that is cut off");
    }
    // The check after the last byte finds that the bytes are not those that were stored.
    let mut whole = dump.as_slice();
    let mut verify = || Err(Failure::new(Kind::Damaged, "Another checksum"));
    let failure = restore_with(&mut whole, &options, &mut verify, &Cancel::new()).unwrap_err();
    assert_eq!(failure.message(), "Another checksum");
    unchanged("a failed check");
    // The user gives up, in the rows and at the very end.
    for part in [500_000, dump.len()] {
        let cancel = Cancel::new();
        let inner = cancel.clone();
        let mut stream = Breaking {
            rest: &dump[..part],
            at_end: Box::new(move || {
                inner.cancel();
                Ok(0)
            }),
        };
        let failure = restore_with(&mut stream, &options, &mut || Ok(()), &cancel).unwrap_err();
        assert_eq!(failure.kind(), Kind::Interrupted, "{failure:?}");
        unchanged("an interruption");
    }
    // The server does not take it.
    let role = text.replacen("OWNER TO ", "OWNER TO missing_", 1);
    let failure = restore(role.as_bytes(), &options).unwrap_err();
    assert!(failure.hints().iter().any(|hint| hint.contains("role")), "{failure:?}");
    unchanged("a missing role");
    let failure = restore(text.replacen("\ny", "\n", 1).replacen("\t", "", 1).as_bytes(), &options).unwrap_err();
    assert!(!failure.causes().is_empty());
    unchanged("a row that does not fit");
    // It would leave its database.
    for line in [
        "\\connect postgres\n",
        "CREATE DATABASE escaped;\n",
        "\\! touch /tmp/escaped\n",
    ] {
        let failure = restore(text.replacen("SET ", &format!("{line}SET "), 1).as_bytes(), &options).unwrap_err();
        assert_eq!(failure.kind(), Kind::Refused, "{failure:?}");
        unchanged(line);
    }
    // It is something else.
    for content in [&b"PGDMP\x01\x0e\x00"[..], b"", b"\x1f\x8b\x08", b"-- MySQL dump 10\n"] {
        let failure = restore(content, &options).unwrap_err();
        assert!(matches!(failure.kind(), Kind::Unsupported | Kind::Damaged));
        unchanged("other content");
    }
}

#[test]
fn rights_that_are_missing_are_told_before_anything_is_created() {
    let server = PostgresServer::shared();
    let database = Database::fresh();
    database.psql("CREATE TABLE old (i int);");
    let role = format!("plain-{}", database.name);
    server.psql("postgres", &format!("CREATE ROLE \"{role}\" LOGIN PASSWORD 'pw'"));
    let url = format!("postgres://{role}:pw@127.0.0.1:{}/{}", server.port(), database.name);
    let mut options = target(&url);
    options.replace = true;
    let failure = restore(b"SELECT 1;\n", &options).unwrap_err();
    assert_eq!(failure.kind(), Kind::Denied);
    assert!(failure.hints()[0].contains("CREATEDB"), "{failure:?}");
    server.psql("postgres", &format!("ALTER ROLE \"{role}\" CREATEDB"));
    let failure = restore(b"SELECT 1;\n", &options).unwrap_err();
    assert_eq!(failure.kind(), Kind::Denied);
    assert!(failure.message().contains("does not own"), "{failure:?}");
    // Its own database it may restore and replace.
    let own = format!("{}-own", database.name);
    options.url = PostgresUrl::parse(&url).unwrap().with_database(&own);
    for _ in 0..2 {
        let report = restore(b"CREATE TABLE t (i int);\n", &options).unwrap();
        if let Some(replaced) = report.replaced_as {
            drop_database(server, &replaced);
        }
    }
    assert_eq!(server.psql(&own, "SELECT count(*) FROM t"), "0\n");
    drop_database(server, &own);
    server.psql("postgres", &format!("DROP ROLE \"{role}\""));
}

#[test]
fn other_encodings_and_the_database_everybody_connects_to_can_be_restored() {
    let server = PostgresServer::start();
    server.psql(
        "postgres",
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    server.psql("latin", "CREATE TABLE t (s text); INSERT INTO t VALUES (chr(228));");
    let dump = dump(&server.url("latin"));
    // Into a database of the server's own encoding, into one of the same encoding, and over `postgres`.
    restore(&dump, &target(&server.url("utf"))).unwrap();
    let mut options = target(&server.url("latin"));
    options.replace = true;
    options.drop_replaced = true;
    restore(&dump, &options).unwrap();
    restore(&dump, &target(&server.url("postgres"))).unwrap();
    for (name, encoding) in [("utf", "UTF8"), ("latin", "LATIN1"), ("postgres", "UTF8")] {
        assert_eq!(server.psql(name, "SELECT ascii(s) FROM t"), "228\n", "{name}");
        assert_eq!(
            server.psql(name, "SELECT current_setting('server_encoding')"),
            format!("{encoding}\n")
        );
    }
    assert_eq!(server.databases(), ["latin", "postgres", "utf"]);
}

#[test]
fn a_dump_that_makes_psql_read_it_differently_runs_no_program_here() {
    let server = PostgresServer::shared();
    let folder = tempfile::tempdir().unwrap();
    let proof = folder.path().join("proof");
    // With the setting off, a backslash hides the quote behind it: what looks like the middle of a text is a command.
    for (switch, undo) in [
        ("SELECT set_config('standard_conforming_strings', 'off', false);", ""),
        ("SET SESSION standard_conforming_strings = 'off';", "\\unrestrict abc\n"),
    ] {
        let script = format!(
            "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n{switch}\nSELECT 'x\\', '\n{undo}\\! touch {}\n';\n\
             --\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n",
            proof.display()
        );
        let failure = restore(script.as_bytes(), &target(&server.url("hostile_target"))).unwrap_err();
        assert!(!proof.exists(), "{switch}: {failure:?}");
        assert_eq!(relatives(server, "hostile_target"), Vec::<String>::new());
    }
}

#[test]
fn a_dated_name_that_is_taken_is_stepped_over() {
    let server = PostgresServer::shared();
    let source = Database::fresh();
    source.psql("CREATE TABLE t (i int);");
    let dump = dump(&source.url());
    let database = Database::fresh();
    database.psql("CREATE TABLE old (i int);");
    let now = jiff::Timestamp::now();
    let mut kept: Vec<String> = (0..8)
        .map(|seconds| {
            let at = now + jiff::SignedDuration::from_secs(seconds);
            format!("{}__replaced_{}", database.name, at.strftime("%Y%m%d_%H%M%S"))
        })
        .collect();
    for name in &kept {
        server.psql("postgres", &format!("CREATE DATABASE \"{name}\" TEMPLATE template0"));
    }
    let mut options = target(&database.url());
    options.replace = true;
    let replaced = restore(&dump, &options).unwrap().replaced_as.unwrap();
    assert!(!kept.contains(&replaced), "{replaced}");
    assert_eq!(server.psql(&replaced, "SELECT count(*) FROM old"), "0\n");
    kept.push(replaced);
    for name in &kept {
        server.psql("postgres", &format!("DROP DATABASE \"{name}\""));
    }
}
