//! A hundred backups while another process writes without a pause: each is a state that existed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::session::{Folder, Session, ask, copy_with, sqlite3};
use crate::support::server::fresh_folder;

/// Backups of each kind of journal.
const COPIES: u32 = 50;

const ACCOUNTS: u64 = 40;

/// Transfers, whose every detail follows from their number, so that the number tells the whole state.
const BANK: &str = "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
    CREATE TABLE transfer (n INTEGER PRIMARY KEY, source INTEGER, target INTEGER, amount INTEGER, note TEXT);
    CREATE INDEX transfer_source ON transfer (source, amount);
    CREATE TABLE counter (n INTEGER NOT NULL);
    INSERT INTO counter VALUES (0);
    WITH RECURSIVE i (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 39) INSERT INTO account SELECT n, 1000 FROM i;
    CREATE TABLE ballast AS WITH RECURSIVE i (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 1500)
        SELECT n, randomblob(1000) AS content FROM i;";

fn transfer(n: u64) -> String {
    let (source, target, amount) = (n % ACCOUNTS, (n * 7 + 3) % ACCOUNTS, n % 13);
    // The ballast is written too, so that more pages change than the small tables have.
    format!(
        "BEGIN IMMEDIATE; UPDATE account SET balance = balance - {amount} WHERE id = {source}; \
         UPDATE account SET balance = balance + {amount} WHERE id = {target}; \
         UPDATE ballast SET content = randomblob(1000) WHERE n = {}; \
         INSERT INTO transfer VALUES ({n}, {source}, {target}, {amount}, hex(randomblob(100))); \
         DELETE FROM transfer WHERE n <= {n} - 400; \
         UPDATE counter SET n = {n}; COMMIT;",
        n * 37 % 1500
    )
}

/// What the state after `n` transfers is, as the questions below ask for it.
fn state_after(n: u64) -> String {
    let mut balances = vec![1000i64; ACCOUNTS as usize];
    for i in 1..=n {
        let amount = (i % 13).cast_signed();
        balances[(i % ACCOUNTS) as usize] -= amount;
        balances[((i * 7 + 3) % ACCOUNTS) as usize] += amount;
    }
    let balances: Vec<String> = balances.iter().map(ToString::to_string).collect();
    let first = n.saturating_sub(400) + u64::from(n > 0);
    let count = if n == 0 { 0 } else { n - first + 1 };
    format!(
        "ok\n{n}\n{}\n{count}|{}\n1501\n",
        balances.join(","),
        if n == 0 { String::new() } else { n.to_string() }
    )
}

const QUESTIONS: &str = "PRAGMA integrity_check; SELECT n FROM counter;
    SELECT group_concat(balance) FROM (SELECT balance FROM account ORDER BY id);
    SELECT count(*), max(n) FROM transfer;
    SELECT count(*) FROM ballast;";

fn hammer(mode: &str) {
    let folder = Folder::empty();
    sqlite3(
        &folder.db(),
        &format!("PRAGMA journal_mode={mode}; BEGIN; {BANK} COMMIT;"),
    );
    let (stop, committed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = std::thread::spawn({
        let (stop, committed, path) = (stop.clone(), committed.clone(), folder.db());
        move || {
            let mut session = Session::open(&path);
            // Readers see the same order of writes without waiting for the disk.
            session.run("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=50;");
            let mut n = 0;
            while !stop.load(Ordering::SeqCst) {
                let said = session.run(&transfer(n + 1));
                assert_eq!(said, "", "the writer");
                n += 1;
                committed.store(n, Ordering::SeqCst);
            }
            session.close();
            n
        }
    });
    let out = fresh_folder("copies");
    let mut last = 0;
    let mut moved = 0;
    for number in 0..COPIES {
        let before = committed.load(Ordering::SeqCst);
        let (copied, report) = copy_with(&folder.db(), Duration::from_secs(60), || ()).unwrap();
        let after = committed.load(Ordering::SeqCst) + 1;
        assert_eq!(report.warnings, Vec::<String>::new());
        let path = out.path().join("copy.db");
        std::fs::write(&path, &copied.bytes).unwrap();
        let n: u64 = ask(&path, "SELECT n FROM counter").trim().parse().unwrap();
        assert_eq!(ask(&path, QUESTIONS), state_after(n), "{mode}: copy {number}");
        assert!(before <= n && n <= after, "{mode}: {before} <= {n} <= {after}");
        assert!(n >= last);
        moved += u32::from(n > last);
        last = n;
    }
    stop.store(true, Ordering::SeqCst);
    let total = writer.join().unwrap();
    assert!(
        moved > COPIES / 2,
        "{mode}: the writer wrote between {moved} of the copies only, {total} transfers"
    );
    // The writer lost nothing either.
    assert_eq!(sqlite3(&folder.db(), QUESTIONS), state_after(total));
}

#[test]
fn fifty_backups_beside_a_writer_with_a_log_are_states_that_existed() {
    hammer("wal");
}

#[test]
fn fifty_backups_beside_a_writer_with_a_rollback_journal_are_states_that_existed() {
    hammer("delete");
}
